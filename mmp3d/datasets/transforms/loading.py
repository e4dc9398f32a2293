"""Read the maps of a sample; volumes are read in ``volume_loading.py``.

Every loader checks what it read against the index, the grid and the label space, and
names the file in its error.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Integer, Shaped
from mmcv.transforms import BaseTransform
from PIL import Image

from mmp3d import geometry
from mmp3d.fileio import (
    CorruptFileError,
    read_exr,
    read_gray16,
    read_image,
    read_npy,
    read_npz,
)
from mmp3d.registry import TRANSFORMS
from mmp3d.structures import LabelSpace
from mmp3d.utils import check_choice, check_positive


@TRANSFORMS.register_module()
class LoadReconstructionImage(BaseTransform):
    """Read the image and bring it to the target size (PIL bicubic).

    Adds ``img`` (uint8 H W 3, RGB) and ``img_shape``; scales ``K``.
    """

    def transform(self, results: dict) -> dict:
        """Apply to one sample.

        Raises:
            CorruptFileError: If the file is broken or not of the size that the index
                says.
        """
        refuse_changed_view(results, type(self).__name__)
        path = results['files'].image
        image = read_image(path)
        _check_size(path, image.shape[:2], results['ori_shape'])
        height, width = results['target_size']
        if image.shape[:2] != (height, width):
            image = np.array(Image.fromarray(image).resize((width, height)))
        results['img'] = image
        results['img_shape'] = (height, width)
        results['K'] = geometry.scale_intrinsics(
            results['K'], results['ori_shape'], (height, width)
        )
        return results


@TRANSFORMS.register_module()
class LoadDepthMap(BaseTransform):
    """Read the depth map and bring it to the target size (nearest).

    The suffix of the file names the format: ``.exr`` and ``.npy`` hold metres, ``.png``
    holds 16-bit numbers. Adds ``gt_depth_map`` (float32 H W, z-depth in metres, 0 =
    unknown).

    Args:
        valid_range: Nearest and farthest depth in metres that is trusted; others become
            unknown. ``None``: all are, as published for 3D-Front; (0.4, 6.0) for
            Matterport3D.
        png_units_per_metre: What one metre is in a PNG file: 4000 for Matterport3D.
    """

    def __init__(
        self,
        valid_range: tuple[float, float] | None = None,
        png_units_per_metre: float = 4000.0,
    ) -> None:
        check_positive('png_units_per_metre', png_units_per_metre)
        self.valid_range = valid_range
        self.png_units_per_metre = png_units_per_metre

    def transform(self, results: dict) -> dict:
        """Apply to one sample.

        Raises:
            CorruptFileError: If the file is broken, of another size, or holds negative
                or infinite depths.
            ValueError: If the suffix is none of the known ones, or the view was changed
                before.
        """
        refuse_changed_view(results, type(self).__name__)
        path = results['files'].depth
        depth = self._read(path)
        _check_size(path, depth.shape, results['ori_shape'])
        if not np.isfinite(depth).all() or depth.min() < 0:
            raise CorruptFileError(
                path, 'depths must be finite metres from 0 on, 0 where unknown'
            )
        if self.valid_range is not None:
            near, far = self.valid_range
            depth[(depth < near) | (depth > far)] = 0
        results['gt_depth_map'] = resize_nearest(depth, results['target_size'])
        return results

    def _read(self, path: Path) -> Float[np.ndarray, 'H W']:
        check_choice(f'the suffix of {path}', path.suffix, ('.exr', '.png', '.npy'))
        if path.suffix == '.exr':
            return read_exr(path)
        if path.suffix == '.npy':
            return read_npy(path, kinds='iuf', shape=(None, None)).astype(np.float32)
        # Divided in double precision, as published: 1600 must give exactly 0.4 m.
        metres = read_gray16(path) / self.png_units_per_metre
        return metres.astype(np.float32)


@TRANSFORMS.register_module()
class LoadRoomMask(BaseTransform):
    """Read which pixels belong to the room that the camera stands in.

    Adds ``gt_room_map`` (bool H W, target size); ``MakePlaneRoomMask`` reduces it.
    """

    def transform(self, results: dict) -> dict:
        """Apply to one sample.

        Raises:
            CorruptFileError: If the file is broken or of another size.
            ValueError: If the dataset has no room masks, or the view was changed
                before.
        """
        refuse_changed_view(results, type(self).__name__)
        path = results['files'].room_mask
        if path is None:
            raise ValueError(
                f'the dataset of sample {results["sample_id"]!r} has no room masks; '
                'leave out LoadRoomMask and MakePlaneRoomMask.'
            )
        room = read_gray16(path) > 0
        _check_size(path, room.shape, results['ori_shape'])
        room = resize_nearest(room.astype(np.uint8), results['target_size'])
        results['gt_room_map'] = room.astype(bool)
        return results


@TRANSFORMS.register_module()
class LoadPanopticMaps(BaseTransform):
    """Read class and instance id of each pixel and bring them to the target size.

    Adds ``gt_semantic_map`` and ``gt_instance_map`` (int32 H W, 0 = void).
    """

    def transform(self, results: dict) -> dict:
        """Apply to one sample.

        Raises:
            CorruptFileError: If the file is broken, of another size, or holds a class
                that the label space does not have.
        """
        refuse_changed_view(results, type(self).__name__)
        path = results['files'].panoptic
        size = results['ori_shape']
        maps = read_npz(path, 'data', kinds='iu', shape=(*size, None))
        if maps.shape[-1] < 2:
            raise CorruptFileError(
                path, f'expected class and instance channels, got {maps.shape}'
            )
        semantic, instances = maps[..., 0], maps[..., 1]
        _check_labels(path, semantic, instances, results['label_space'])
        target = results['target_size']
        results['gt_semantic_map'] = resize_nearest(semantic.astype(np.int32), target)
        results['gt_instance_map'] = resize_nearest(instances.astype(np.int32), target)
        return results


def resize_nearest(
    values: Shaped[np.ndarray, 'H W'], size: tuple[int, int]
) -> Shaped[np.ndarray, 'h w']:
    """Resize a map; pixel i of the result is pixel floor(i * old / new)."""
    height, width = size
    if values.shape == (height, width):
        return values
    return cv2.resize(values, (width, height), interpolation=cv2.INTER_NEAREST)


def _check_size(path: Path, found: tuple[int, int], expected: tuple[int, int]) -> None:
    if tuple(found) != tuple(expected):
        raise CorruptFileError(
            path,
            f'expected {expected[0]} x {expected[1]} pixels (height x width) as the '
            f'index says, got {found[0]} x {found[1]}',
            'Correct the index or the file: the camera is known for the index size.',
        )


def refuse_changed_view(results: dict, loader: str) -> None:
    """Raise if a transform has changed what the files of a sample show.

    Raises:
        ValueError: If one has.
    """
    if results.get('view_changes'):
        raise ValueError(
            f'{loader} reads what the untouched image shows, so it must come before '
            f'{results["view_changes"]}; reorder the pipeline.'
        )


def _check_labels(
    path: Path,
    semantic: Integer[np.ndarray, '*domain'],
    instances: Integer[np.ndarray, '*domain'],
    label_space: LabelSpace,
) -> None:
    check_classes(path, semantic, label_space)
    check_ids(path, instances, label_space)


def check_classes(
    path: Path, semantic: Integer[np.ndarray, '*domain'], label_space: LabelSpace
) -> None:
    """Raise unless all classes of a file are known.

    Raises:
        CorruptFileError: If one is not.
    """
    low, high = int(semantic.min(initial=0)), int(semantic.max(initial=0))
    if low < 0 or high >= label_space.num_classes:
        raise CorruptFileError(
            path,
            f'unknown class id {low if low < 0 else high}; label space '
            f'{label_space.name!r} has 0..{label_space.num_classes - 1}',
            'List the sample in the skip_file of the dataset if it cannot be mended.',
        )


def check_ids(
    path: Path, instances: Integer[np.ndarray, '*domain'], label_space: LabelSpace
) -> None:
    """Raise unless all instance ids of a file are positive 32-bit integers or 0.

    Raises:
        CorruptFileError: If one is not.
    """
    low, high = instances.min(initial=0), instances.max(initial=0)
    if low < 0 or high > np.iinfo(np.int32).max:
        raise CorruptFileError(path, 'instance ids must lie in 0..2147483647')
