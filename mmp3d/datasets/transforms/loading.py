"""Read the files of a sample; the only place that knows how they are stored.

Every loader checks what it read against the index, the grid and the label space, and
names the file in its error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Integer, Shaped
from mmcv.transforms import BaseTransform
from mmengine.logging import MMLogger
from PIL import Image

from mmp3d import geometry
from mmp3d.fileio import (
    CorruptFileError,
    SparseArray,
    check_array,
    load_cached,
    read_exif_focal,
    read_exr,
    read_gray16,
    read_image,
    read_npy,
    read_npz,
)
from mmp3d.registry import TRANSFORMS
from mmp3d.structures import FrustumGrid, LabelSpace
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
class LoadFreeImage(BaseTransform):
    """Read an image that belongs to no dataset, and give it a camera and a grid.

    Adds ``img``, ``ori_shape``, ``img_shape``, ``K``, ``intrinsics_source`` and what
    else a dataset would; ``pad_shape`` with ``fit='pad'``. The grid is moved to where
    the camera looks.

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
            camera keeps its focal length: it is taken to be cropped.
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
        check_choice('fit', fit, ('stretch', 'pad'))
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
        if self.fit == 'pad':
            results['pad_shape'] = self.target_size
        return results

    def _fitted_size(self, size: tuple[int, int]) -> tuple[int, int]:
        if self.fit == 'stretch':
            return self.target_size
        scale = min(t / s for t, s in zip(self.target_size, size, strict=True))
        height, width = (max(2, 2 * round(scale * side / 2)) for side in size)
        return height, width

    def _camera(
        self, path: str | None, size: tuple[int, int], fitted: tuple[int, int]
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


@TRANSFORMS.register_module()
class LoadVolumes(BaseTransform):
    """Read the voxel volumes of a sample.

    Adds, as asked for: ``gt_tudf`` (float32, unsigned distance in voxels, truncated as
    the grid says), ``gt_semantic_volume`` (uint8) and ``gt_instance_volume`` (int32),
    0 = free space, ``gt_weights`` (float32); all X Y Z in the camera's directions.

    Args:
        volumes: Which of 'geometry', 'segmentation', 'weighting' to read.
        stored_flipped: The files are mirrored along x and y, as 3D-Front's are;
            Matterport3D's are not.
        cache_dir: Folder of sparse copies, which load several times as fast; missing,
            outdated and damaged ones are made on the way. One folder for each dataset.
            ``None``: read the files themselves.
        verify_cache: Compare each copy with its file by SHA-256, not only by size and
            modification time.
    """

    def __init__(
        self,
        volumes: Sequence[str] = ('geometry', 'segmentation', 'weighting'),
        stored_flipped: bool = True,
        cache_dir: str | None = None,
        verify_cache: bool = False,
    ) -> None:
        for name in volumes:
            check_choice(
                'an entry of volumes', name, ('geometry', 'segmentation', 'weighting')
            )
        self.volumes = tuple(volumes)
        self.stored_flipped = stored_flipped
        self.cache_dir = cache_dir
        self.verify_cache = verify_cache

    def transform(self, results: dict) -> dict:
        """Apply to one sample.

        Raises:
            CorruptFileError: If a file is broken, does not fit the grid, or holds
                numbers out of range.
            ValueError: If the view was changed before.
        """
        refuse_changed_view(results, type(self).__name__)
        if 'geometry' in self.volumes:
            results['gt_tudf'] = self._distance(results)
        if 'segmentation' in self.volumes:
            semantic, instances = self._labels(results)
            results['gt_semantic_volume'] = semantic
            results['gt_instance_volume'] = instances
        if 'weighting' in self.volumes:
            results['gt_weights'] = self._weights(results)
        return results

    def _distance(self, results: dict) -> Float[np.ndarray, 'X Y Z']:
        grid: FrustumGrid = results['grid']
        path = results['files'].geometry

        def truncated(distances: Float[np.ndarray, '*N']) -> Float[np.ndarray, '*N']:
            np.abs(distances, out=distances)
            if np.isnan(distances.max(initial=0)):
                raise CorruptFileError(path, 'distances must be numbers, got NaN')
            return np.minimum(distances, np.float32(grid.truncation), out=distances)

        stored = self._read(path, 'iuf', grid.dims)
        return self._finish(stored, np.float32, truncated)

    def _labels(
        self, results: dict
    ) -> tuple[Integer[np.ndarray, 'X Y Z'], Integer[np.ndarray, 'X Y Z']]:
        path = results['files'].segmentation
        dims = results['grid'].dims
        stored = self._read(path, 'iu', (None, None, None, None))
        if stored.shape == (*dims, 2):
            dense = stored.dense() if isinstance(stored, SparseArray) else stored
            stored = np.moveaxis(dense, -1, 0)
        if stored.shape != (2, *dims):
            raise CorruptFileError(
                path, f"'data' must have the shape (2, *{dims}), got {stored.shape}"
            )
        sparse = isinstance(stored, SparseArray)
        semantic, instances = stored.channels() if sparse else stored
        for labels, check in ((semantic, _check_classes), (instances, _check_ids)):
            values = labels.values if sparse else labels
            check(path, values, results['label_space'])
            if sparse:
                check(path, labels.background[None], results['label_space'])
        return (
            self._finish(semantic, np.uint8),
            self._finish(instances, np.int32),
        )

    def _weights(self, results: dict) -> Float[np.ndarray, 'X Y Z']:
        path = results['files'].weighting

        def checked(weights: Float[np.ndarray, '*N']) -> Float[np.ndarray, '*N']:
            # One comparison finds negative numbers and NaN.
            lowest, highest = weights.min(initial=0), weights.max(initial=0)
            if not (lowest >= 0 and np.isfinite(highest)):
                raise CorruptFileError(path, 'weights must be finite and not negative')
            return weights

        stored = self._read(path, 'iuf', results['grid'].dims)
        return self._finish(stored, np.float32, checked)

    def _read(
        self, path: Path, kinds: str, shape: tuple[int | None, ...]
    ) -> Shaped[np.ndarray, '...'] | SparseArray:
        if self.cache_dir is None:
            return read_npz(path, 'data', kinds=kinds, shape=shape)
        return _read_cached(
            path, 'data', kinds, shape, self.cache_dir, self.verify_cache
        )

    def _finish(
        self,
        stored: Shaped[np.ndarray, 'X Y Z'] | SparseArray,
        dtype: type,
        change: Callable[
            [Shaped[np.ndarray, '*N']], Shaped[np.ndarray, '*N']
        ] = lambda values: values,
    ) -> Shaped[np.ndarray, 'X Y Z']:
        """Turn into the camera's directions, convert, and apply ``change``."""
        if isinstance(stored, SparseArray):
            converted = stored.map(lambda values: change(values.astype(dtype)))
            return converted.dense(self.stored_flipped)
        if self.stored_flipped:
            return change(turn_stored(stored, dtype))
        return change(stored.astype(dtype, copy=False))


@TRANSFORMS.register_module()
class LoadFrustumMask(BaseTransform):
    """Mark the voxels that the camera can see.

    Adds ``frustum_mask`` (bool X Y Z): from the dataset's file if it names one, else
    computed from ``K``, ``img_shape`` and ``grid``. It is shared between samples; do
    not change it in place.

    Args:
        stored_flipped: The file is mirrored along x and y, as 3D-Front's is.
        stored_inverted: The file marks the voxels outside, as Matterport3D's does.
        cache_dir: Folder of sparse copies, see ``LoadVolumes``; for masks that stand in
            a volume file of each image.
    """

    def __init__(
        self,
        stored_flipped: bool = True,
        stored_inverted: bool = False,
        cache_dir: str | None = None,
    ) -> None:
        self.stored_flipped = stored_flipped
        self.stored_inverted = stored_inverted
        self.cache_dir = cache_dir

    def transform(self, results: dict) -> dict:
        """Apply to one sample.

        Raises:
            CorruptFileError: If the file is broken or does not fit the grid.
            ValueError: If there is a file and the view was changed before.
        """
        grid: FrustumGrid = results['grid']
        path = results['files'].frustum_mask if 'files' in results else None
        if path is None:
            K = tuple(map(tuple, results['K'].tolist()))
            results['frustum_mask'] = _computed_mask(K, results['img_shape'], grid)
        else:
            refuse_changed_view(results, type(self).__name__)
            settings = (self.stored_flipped, self.stored_inverted, self.cache_dir)
            results['frustum_mask'] = _stored_mask(path, grid.dims, *settings)
        return results


@lru_cache(maxsize=4)
def _computed_mask(
    K: tuple[tuple[float, ...], ...], image_size: tuple[int, int], grid: FrustumGrid
) -> Bool[np.ndarray, 'X Y Z']:
    return geometry.frustum_mask(np.array(K), image_size, grid).numpy()


@lru_cache(maxsize=2)
def _stored_mask(
    path: Path,
    dims: tuple[int, int, int],
    flipped: bool,
    inverted: bool,
    cache_dir: str | None,
) -> Bool[np.ndarray, 'X Y Z']:
    if cache_dir is None:
        mask = read_npz(path, 'mask', kinds='biu', shape=dims)
    else:
        mask = _read_cached(path, 'mask', 'biu', dims, cache_dir).dense()
    mask = turn_stored(mask, bool) if flipped else mask.astype(bool, copy=False)
    return np.logical_not(mask, out=mask) if inverted else mask


def _read_cached(
    path: Path,
    key: str,
    kinds: str,
    shape: tuple[int | None, ...],
    cache_dir: str,
    verify: bool = False,
) -> SparseArray:
    arrays, status = load_cached(path, cache_dir, verify)
    if status not in ('used', 'made', 'renewed'):
        MMLogger.get_current_instance().warning(f'{status} It was made again.')
    if key not in arrays:
        raise CorruptFileError(
            path, f'expected an array named {key!r}, the file has {sorted(arrays)}'
        )
    stored = arrays[key]
    check_array(path, key, stored.dtype, stored.shape, kinds=kinds, shape=shape)
    return stored


def turn_stored(
    volume: Shaped[np.ndarray, 'X Y Z'], dtype: type
) -> Shaped[np.ndarray, 'X Y Z']:
    """Turn a volume by 180 degrees about the optical axis (mirror x and y)."""
    # Turned and converted in one pass: each pass over 256 cubed costs a tenth of a
    # second.
    turned = np.empty(volume.shape, dtype)
    np.copyto(turned, volume[::-1, ::-1], casting='unsafe')
    return turned


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
    _check_classes(path, semantic, label_space)
    _check_ids(path, instances, label_space)


def _check_classes(
    path: Path, semantic: Integer[np.ndarray, '*domain'], label_space: LabelSpace
) -> None:
    low, high = int(semantic.min(initial=0)), int(semantic.max(initial=0))
    if low < 0 or high >= label_space.num_classes:
        raise CorruptFileError(
            path,
            f'unknown class id {low if low < 0 else high}; label space '
            f'{label_space.name!r} has 0..{label_space.num_classes - 1}',
            'List the sample in the skip_file of the dataset if it cannot be mended.',
        )


def _check_ids(
    path: Path, instances: Integer[np.ndarray, '*domain'], label_space: LabelSpace
) -> None:
    low, high = instances.min(initial=0), instances.max(initial=0)
    if low < 0 or high > np.iinfo(np.int32).max:
        raise CorruptFileError(path, 'instance ids must lie in 0..2147483647')
