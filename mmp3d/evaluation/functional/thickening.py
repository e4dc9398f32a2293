"""From a distance field and an id volume to the thick surface of every segment.

Source: Dahnert et al., Panoptic 3D Scene Reconstruction From a Single RGB Image,
NeurIPS 2021, section 5, in the form of the released evaluations.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int, Integer, Shaped, UInt

from mmp3d.evaluation.functional.segment_cover import SegmentCover, rows_of_ids
from mmp3d.utils import check_positive


def thickened_segments(
    ids: Integer[np.ndarray, 'X Y Z'],
    segment_ids: Sequence[int],
    distance: Float[np.ndarray, 'X Y Z'],
    frustum_mask: Bool[np.ndarray, 'X Y Z'] | None = None,
    iso: float = 1.0,
    downsample_factor: int = 1,
) -> SegmentCover:
    """Give the surface voxels of every segment, thickened by one 3 x 3 x 3 stamp.

    A voxel is on the surface where ``|distance| < iso``. With a factor f > 1 the
    surface is max-pooled first (kernel f + 1, stride f, padding 1). Then every voxel v
    is grown to ``v + {0, 1, 2}`` along each axis (to one side only, as the published
    measure does), clipped at the end of the grid and cut by the frustum. Segments may
    overlap afterwards. A segment without any surface is empty, but stays in the list.

    All segments are grown at once: each is one bit of a word per voxel.

    Args:
        ids: Segment id of each voxel.
        segment_ids: The segments, in the order of the result.
        distance: Distance to the surface in voxels, signed or not.
        frustum_mask: Voxels that count; ``None`` = all.
        iso: Distance in voxels below which a voxel belongs to the surface.
        downsample_factor: Factor f; the result lies on a grid f times coarser. The
            frustum mask is read at every f-th voxel.

    Raises:
        ValueError: If shapes differ or the grid is no multiple of the factor.
    """
    _check(ids, distance, frustum_mask, iso, downsample_factor)
    factor = downsample_factor
    shape = tuple(n // factor for n in ids.shape)
    surface = (distance < iso) & (distance > -iso)
    seeds = np.flatnonzero(surface)
    rows = rows_of_ids(ids.reshape(-1)[seeds], segment_ids)
    seeds, rows = seeds[rows >= 0], rows[rows >= 0]
    if seeds.size == 0:
        return SegmentCover.from_words([], len(segment_ids), shape)
    seeds = np.stack(np.unravel_index(seeds, ids.shape))
    box = _working_box(seeds, ids.shape, factor)
    words = []
    for first in range(0, len(segment_ids), 64):
        size = min(64, len(segment_ids) - first)
        chosen = (rows >= first) & (rows < first + size)
        word = _seed_volume(seeds[:, chosen], rows[chosen] - first, size, box)
        words.append(_stamp(_pool(word, factor)))
    box = tuple(slice(s.start // factor, s.stop // factor) for s in box)
    if frustum_mask is not None:
        outside = ~frustum_mask[::factor, ::factor, ::factor][box]
        for word in words:
            word[outside] = 0
    positions = np.flatnonzero(np.any([word != 0 for word in words], axis=0))
    return SegmentCover.from_words(
        [word.reshape(-1)[positions] for word in words],
        len(segment_ids),
        shape,
        _positions_in_grid(positions, box, shape),
    )


def thickened_masks(
    ids: Integer[np.ndarray, 'X Y Z'],
    segment_ids: Sequence[int],
    distance: Float[np.ndarray, 'X Y Z'],
    frustum_mask: Bool[np.ndarray, 'X Y Z'] | None = None,
    iso: float = 1.0,
    downsample_factor: int = 1,
) -> Bool[np.ndarray, 'S x y z']:
    """Give ``thickened_segments`` as one dense mask per segment."""
    return thickened_segments(
        ids, segment_ids, distance, frustum_mask, iso, downsample_factor
    ).masks()


def _check(
    ids: Shaped[np.ndarray, '...'],
    distance: Shaped[np.ndarray, '...'],
    frustum_mask: Shaped[np.ndarray, '...'] | None,
    iso: float,
    factor: int,
) -> None:
    check_positive('iso', iso)
    shapes = [ids.shape, distance.shape]
    if frustum_mask is not None:
        shapes.append(frustum_mask.shape)
    if len(set(shapes)) != 1 or ids.ndim != 3:
        raise ValueError(
            'ids, distance and frustum mask must be volumes over one grid, got the '
            f'shapes {shapes}'
        )
    if factor < 1 or any(n % factor for n in ids.shape):
        raise ValueError(
            f'the grid {ids.shape} must be a multiple of downsample_factor {factor}'
        )


def _working_box(
    seeds: Int[np.ndarray, '3 N'], shape: tuple[int, ...], factor: int
) -> tuple[slice, ...]:
    """Part of the grid that seeds can reach, in whole coarse cells."""
    box = []
    for low, high, size in zip(
        seeds.min(axis=1), seeds.max(axis=1), shape, strict=True
    ):
        # Pooling can reach one coarse cell beyond the last seed, the stamp two more.
        stop = min(size, ((int(high) + 1) // factor + 3) * factor)
        box.append(slice(int(low) // factor * factor, stop))
    return tuple(box)


def _seed_volume(
    seeds: Int[np.ndarray, '3 N'],
    bits: Int[np.ndarray, ' N'],
    size: int,
    box: tuple[slice, ...],
) -> UInt[np.ndarray, 'x y z']:
    dtype = np.dtype(f'uint{next(n for n in (8, 16, 32, 64) if n >= size)}')
    word = np.zeros([s.stop - s.start for s in box], dtype)
    at = tuple(axis - s.start for axis, s in zip(seeds, box, strict=True))
    word[at] = np.left_shift(dtype.type(1), bits.astype(dtype), dtype=dtype)
    return word


def _pool(word: UInt[np.ndarray, 'x y z'], factor: int) -> UInt[np.ndarray, 'u v w']:
    """Max-pool: cell i sees the voxels f i - 1 ... f i + f - 1."""
    if factor == 1:
        return word
    for axis in range(3):
        word = np.moveaxis(word, axis, 0)
        cells = word.reshape(len(word) // factor, factor, *word.shape[1:])
        word = np.bitwise_or.reduce(cells, axis=1)
        word[1:] |= cells[:-1, -1]
        word = np.moveaxis(word, 0, axis)
    return np.ascontiguousarray(word)


def _stamp(word: UInt[np.ndarray, 'x y z']) -> UInt[np.ndarray, 'x y z']:
    for axis in range(3):
        thin = np.moveaxis(word, axis, 0)
        thick = thin.copy(order='K')
        thick[1:] |= thin[:-1]
        thick[2:] |= thin[:-2]
        word = np.moveaxis(thick, 0, axis)
    return np.ascontiguousarray(word)


def _positions_in_grid(
    positions: Int[np.ndarray, ' N'], box: tuple[slice, ...], shape: tuple[int, ...]
) -> Int[np.ndarray, ' N']:
    """Flat index in a box -> flat index in the whole grid."""
    inside = np.unravel_index(positions, [s.stop - s.start for s in box])
    return np.ravel_multi_index(
        tuple(axis + s.start for axis, s in zip(inside, box, strict=True)), shape
    )
