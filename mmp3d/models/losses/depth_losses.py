"""Depth supervision: bringing the target to the prediction's size, and the L1 error."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from mmp3d.utils import check_choice


def resize_depth(
    depth: Float[Tensor, 'B H W'], size: tuple[int, int], mode: str = 'valid'
) -> Float[Tensor, 'B h w']:
    """Resize a depth map bilinearly.

    Args:
        depth: z-depth in metres; 0 where unknown.
        size: (height, width) of the result.
        mode: 'valid': mean over the known neighbours; unknown where less than half of
            the weight is known. 'bilinear': unknown zeros are averaged like any other
            depth, as the published training does.

    Returns:
        z-depth in metres; 0 where unknown.

    Raises:
        ValueError: If the mode is unknown.
    """
    check_choice('resize mode of a depth map', mode, ('valid', 'bilinear'))
    known = (depth > 0).to(depth.dtype)
    layers = torch.stack((depth * known if mode == 'valid' else depth, known), dim=1)
    total, weight = F.interpolate(
        layers, size, mode='bilinear', align_corners=False
    ).unbind(dim=1)
    if mode == 'bilinear':
        return total
    return torch.where(weight >= 0.5, total / weight.clamp(min=0.5), 0.0)


def depth_l1(
    depth: Float[Tensor, 'B h w'],
    target: Float[Tensor, 'B h w'],
    valid: Bool[Tensor, 'B h w'],
) -> Float[Tensor, ' B']:
    """Mean absolute error of each image in metres, over its valid pixels.

    Returns:
        0 for an image without a valid pixel.
    """
    error = torch.where(valid, (depth - target).abs(), 0.0)
    return error.sum(dim=(1, 2)) / valid.sum(dim=(1, 2)).clamp(min=1)
