"""Read an image of any origin, and give it a camera and a grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from mmcv.transforms import BaseTransform
from PIL import Image

from mmp3d import geometry
from mmp3d.fileio import read_exif_focal, read_image
from mmp3d.registry import TRANSFORMS
from mmp3d.structures import FrustumGrid, LabelSpace
from mmp3d.utils import check_choice


@TRANSFORMS.register_module()
class LoadFreeImage(BaseTransform):
    """Read an image that belongs to no dataset, and give it a camera and a grid.

    Adds ``img``, ``ori_shape``, ``img_shape``, ``K``, ``intrinsics_source`` and what
    else a dataset would; ``pad_shape`` where the image will be padded. The grid is
    moved to where the camera looks.

    The camera is that of ``results['K']``, in pixels of the image itself ('user').
    Where there is none: the focal length of the file's EXIF block with a central
    principal point ('exif'), the one that the model will predict ('camera_head'; ``K``
    then is a stand-in), or the one of the model's dataset ('dataset').

    Args:
        target_size: (height, width) that the model was trained at.
        K: The camera of the dataset, in pixels of ``target_size``.
        grid: Parameters of ``FrustumGrid``.
        label_space: Name of the ``LabelSpace``.
        fit: How an image of another aspect ratio is brought to ``target_size``.
            'stretch': resized whatever its aspect ratio, as the published system does.
            'pad': resized to fit inside, and padded by the data preprocessor. Both
            sides are then even, as stage 2 works at half of them, and the dataset's
            camera keeps its focal length: it is taken to be cropped. 'auto':
            'stretch' where that changes the aspect ratio by less than a tenth, else
            'pad'.
        camera: 'exif', 'camera_head' or 'dataset', or 'auto': the first of them that is
            to be had.
        camera_head: Whether the model predicts cameras.
    """

    def __init__(
        self,
        target_size: Sequence[int],
        K: Float[np.ndarray, '3 3'],
        grid: dict,
        label_space: str,
        fit: str = 'stretch',
        camera: str = 'auto',
        camera_head: bool = False,
    ) -> None:
        check_choice('fit', fit, ('auto', 'stretch', 'pad'))
        check_choice('camera', camera, ('auto', 'exif', 'camera_head', 'dataset'))
        height, width = target_size
        self.target_size = (height, width)
        self.K = np.asarray(K, dtype=np.float64)
        self.grid = FrustumGrid(**grid)
        self.label_space = LabelSpace.named(label_space)
        self.fit = fit
        self.camera = camera
        self.camera_head = camera_head

    def transform(self, results: dict) -> dict:
        """Apply to one image: ``img`` (uint8 H W 3), or ``img_path`` to read.

        Raises:
            CorruptFileError: If the file is broken.
            UnknownCameraError: If ``camera`` is 'exif' and EXIF tells none.
            ValueError: If ``img`` is not an RGB image.
        """
        path = None if 'img' in results else results['img_path']
        image = results['img'] if path is None else read_image(path)
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(
                'an image must be an RGB array H W 3 of uint8, got '
                f'{tuple(image.shape)} of {image.dtype}'
            )
        size = image.shape[:2]
        fitted = self._fitted_size(size)
        if 'K' in results:
            K, source = geometry.scale_intrinsics(results['K'], size, fitted), 'user'
        else:
            K, source = self._camera(path, size, fitted)
        if size != fitted:
            image = np.array(Image.fromarray(image).resize(fitted[::-1]))
        results.update(
            img=image,
            ori_shape=size,
            img_shape=fitted,
            K=K,
            intrinsics_source=source,
            grid=geometry.centre_grid(K, fitted, self.grid),
            label_space=self.label_space,
            loss_weight=1.0,
        )
        if self._pads(size):
            results['pad_shape'] = self.target_size
        return results

    def _pads(self, size: tuple[int, int]) -> bool:
        if self.fit == 'auto':
            return is_distorted(size, self.target_size)
        return self.fit == 'pad'

    def _fitted_size(self, size: tuple[int, int]) -> tuple[int, int]:
        if not self._pads(size):
            return self.target_size
        scale = min(t / s for t, s in zip(self.target_size, size, strict=True))
        height, width = (max(2, 2 * round(scale * side / 2)) for side in size)
        return height, width

    def _camera(
        self, path: str | Path | None, size: tuple[int, int], fitted: tuple[int, int]
    ) -> tuple[Float[np.ndarray, '3 3'], str]:
        """K in pixels of the resized image, and its source."""
        focal = None
        if path is not None and self.camera in ('auto', 'exif'):
            focal = read_exif_focal(path)
        if focal is not None:
            (cx, cy), (sy, sx) = geometry.image_centre(fitted), np.divide(fitted, size)
            K = np.array([[focal * sx, 0, cx], [0, focal * sy, cy], [0, 0, 1]])
            return K, 'exif'
        if self.camera == 'exif':
            raise geometry.UnknownCameraError(
                f'{path or "an array"}: EXIF tells no plausible focal length. Give the '
                "intrinsics, or choose another camera, 'auto' for instance."
            )
        predicted = self.camera == 'camera_head' or (
            self.camera == 'auto' and self.camera_head
        )
        top, left = (
            (t - f) // 2 for t, f in zip(self.target_size, fitted, strict=True)
        )
        K = geometry.crop_intrinsics(self.K, top, left)
        return K, 'camera_head' if predicted else 'dataset'


def is_distorted(before: tuple[int, int], after: tuple[int, int]) -> bool:
    """Whether a resize changes the aspect ratio by more than a tenth.

    Args:
        before: (height, width).
        after: (height, width).
    """
    change = (before[0] / before[1]) / (after[0] / after[1])
    return max(change, 1 / change) > 1.1
