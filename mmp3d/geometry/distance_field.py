"""Distance fields and what is derived from them: occupancy, weights, coarse masks.

All distances are in voxels of the finest grid, at every stride.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor
from torch.nn import functional as F


def coarse_occupancy(
    tudf: Float[Tensor, 'B X Y Z'], stride: int, threshold: float
) -> Bool[Tensor, 'B x y z']:
    """Find the occupied cells of a coarser grid.

    Args:
        tudf: Truncated distance in voxels on the finest grid.
        stride: Edge of a coarse cell in finest voxels.
        threshold: A cell is occupied where the interpolated distance is below this many
            finest voxels (strictly).

    Differs: The distance is sampled with aligned corners, as the published targets are,
        not at the centre of the cell.
    """
    return _sample_aligned(tudf, stride) < threshold


def coarse_weights(
    weights: Float[Tensor, 'B X Y Z'], stride: int
) -> Float[Tensor, 'B x y z']:
    """Sample loss weights on a coarser grid, with aligned corners."""
    return _sample_aligned(weights, stride)


def instance_masks(
    instance_volume: Integer[Tensor, 'X Y Z'],
    semantic: Integer[Tensor, 'X Y Z'],
    instance_ids: Int[Tensor, ' N'],
    labels: Int[Tensor, ' N'],
) -> Bool[Tensor, 'N X Y Z']:
    """Cut the voxels of each target out of the two label volumes.

    Args:
        instance_volume: The dataset's instance id of each voxel, 0 = none.
        semantic: Class label of each voxel, 0 = free space.
        instance_ids: Instance id of each target; 0 for stuff, whose voxels are those of
            its class.
        labels: Class label of each target.
    """
    masks = instance_volume.new_empty((len(labels), *semantic.shape), dtype=torch.bool)
    targets = zip(instance_ids.tolist(), labels.tolist(), strict=True)
    for mask, (instance, label) in zip(masks, targets, strict=True):
        # A comparison per target: one broadcast over N would need N int volumes.
        if instance > 0:
            torch.eq(instance_volume, instance, out=mask)
        else:
            torch.eq(semantic, label, out=mask)
    return masks


def instance_masks_at_stride(
    masks: Bool[Tensor, 'N X Y Z'], stride: int
) -> Bool[Tensor, 'N x y z']:
    """Pool masks to a coarser grid: max-pooling, kernel 2s, stride s, padding s/2.

    Boolean and one axis after the other, so no float copy of the masks is made.

    Raises:
        ValueError: If the stride is odd or does not divide the grid.
    """
    if stride == 1:
        return masks
    if stride < 1 or stride % 2 or any(n % stride for n in masks.shape[1:]):
        raise ValueError(
            f'masks of grid {tuple(masks.shape[1:])} cannot be pooled by stride '
            f'{stride}: it must be 1 or even, and divide each size.'
        )
    for axis in (1, 2, 3):
        masks = _pool_axis(masks.movedim(axis, -1), stride).movedim(-1, axis)
    return masks.contiguous()


def _pool_axis(
    masks: Bool[Tensor, '*cells n'], stride: int
) -> Bool[Tensor, '*cells m']:
    half = stride // 2
    halves = F.pad(masks, (half, half)).unflatten(-1, (-1, half)).any(dim=-1)
    # A window is four half blocks wide, and starts every second one.
    inner = halves[..., :-2:2] | halves[..., 1:-2:2]
    return inner | halves[..., 2::2] | halves[..., 3::2]


def _sample_aligned(
    volume: Float[Tensor, 'B X Y Z'], stride: int
) -> Float[Tensor, 'B x y z']:
    if stride == 1:
        return volume
    size = [n // stride for n in volume.shape[1:]]
    sampled = F.interpolate(
        volume[:, None], size=size, mode='trilinear', align_corners=True
    )
    return sampled[:, 0]
