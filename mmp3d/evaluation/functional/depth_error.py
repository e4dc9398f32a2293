"""Errors of a depth map.

Source: Eigen et al., Depth Map Prediction from a Single Image using a Multi-Scale Deep
Network, NIPS 2014, section 4.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class DepthErrorSums:
    """Sums over the valid pixels of one image.

    Attributes:
        relative: Sum of ``|d - d_gt| / d_gt``.
        squared: Sum of ``(d - d_gt)^2`` in square metres.
        within: Number of pixels with ``max(d / d_gt, d_gt / d) < 1.25``.
        num_pixels: Number of valid pixels.
    """

    relative: float
    squared: float
    within: int
    num_pixels: int


def depth_errors(
    pred: Float[np.ndarray, 'H W'],
    gt: Float[np.ndarray, 'H W'],
    depth_range: tuple[float, float],
) -> DepthErrorSums:
    """Sum the errors over the pixels whose true depth is known and in range.

    Args:
        pred: z-depth in metres.
        gt: z-depth in metres, 0 = unknown.
        depth_range: Nearest and farthest true depth in metres that count, inclusive.

    Raises:
        ValueError: If the maps differ in size, or a predicted depth is not finite.
    """
    if pred.shape != gt.shape:
        raise ValueError(
            f'depth maps must have one size, got {pred.shape} predicted and {gt.shape} '
            'true; resize the prediction first'
        )
    valid = (gt > 0) & (gt >= depth_range[0]) & (gt <= depth_range[1])
    true = gt[valid].astype(np.float64)
    ours = pred[valid].astype(np.float64)
    if not np.isfinite(ours).all():
        raise ValueError(
            f'{np.count_nonzero(~np.isfinite(ours))} predicted depths are not finite'
        )
    error = np.abs(ours - true)
    # As products: a predicted depth of 0 is wrong, not an error.
    within = (ours < 1.25 * true) & (true < 1.25 * ours)
    return DepthErrorSums(
        relative=float((error / true).sum()),
        squared=float((error**2).sum()),
        within=int(within.sum()),
        num_pixels=int(true.size),
    )
