"""Read the voxel volumes of a sample and the mask of what its camera sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Integer, Shaped
from mmcv.transforms import BaseTransform
from mmengine.logging import MMLogger

from mmp3d import geometry
from mmp3d.datasets.transforms.loading import (
    check_classes,
    check_ids,
    refuse_changed_view,
)
from mmp3d.fileio import (
    CorruptFileError,
    SparseArray,
    check_array,
    existing_file,
    load_cached,
    read_npz,
)
from mmp3d.registry import TRANSFORMS
from mmp3d.structures import FrustumGrid
from mmp3d.utils import check_choice


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
        for labels, check in ((semantic, check_classes), (instances, check_ids)):
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
            changed = existing_file(path).stat().st_mtime_ns  # a new file is read again
            settings = (self.stored_flipped, self.stored_inverted, self.cache_dir)
            results['frustum_mask'] = _stored_mask(path, changed, grid.dims, *settings)
        return results


@lru_cache(maxsize=4)
def _computed_mask(
    K: tuple[tuple[float, ...], ...], image_size: tuple[int, int], grid: FrustumGrid
) -> Bool[np.ndarray, 'X Y Z']:
    return geometry.frustum_mask(np.array(K), image_size, grid).numpy()


@lru_cache(maxsize=2)
def _stored_mask(
    path: Path,
    changed: int,
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
