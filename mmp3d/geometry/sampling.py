"""Read maps at points, and choose the points at which a prediction is unsure."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from mmcv.ops import point_sample
from torch import Tensor


@runtime_checkable  # the shape checks of the tests look at instances
class PointSource(Protocol):
    """Where random points come from; tests replay recorded ones."""

    def __call__(
        self, num_sets: int, num_points: int, device: torch.device
    ) -> Float[Tensor, 'N P 2']:
        """Give ``num_sets`` sets of points (x, y) in 0..1 of the map."""


def uniform_points(
    num_sets: int,
    num_points: int,
    device: torch.device,
    generator: torch.Generator | None = None,
) -> Float[Tensor, 'N P 2']:
    """Draw points uniformly.

    Args:
        num_sets: Number of independent sets.
        num_points: Points per set.
        device: Where the points are made.
        generator: Of that device; ``None``: torch's global one.

    Returns:
        (x, y), 0..1: from the left and top edge of a map to its right and bottom edge.
    """
    return torch.rand(num_sets, num_points, 2, device=device, generator=generator)


def sample_maps(
    maps: Float[Tensor, 'N C h w'], points: Float[Tensor, 'N P 2']
) -> Float[Tensor, 'N C P']:
    """Read maps at points, bilinearly; zeros lie outside.

    Args:
        maps: Values at pixel centres.
        points: (x, y) in 0..1, from the outer edge of the first pixel to the outer edge
            of the last one; shared by the channels.
    """
    return point_sample(maps, points.to(maps.dtype), align_corners=False)


def pick_uncertain_points(
    logits: Float[Tensor, 'N h w'],
    candidates: Float[Tensor, 'N M 2'],
    num_points: int,
) -> Float[Tensor, 'N P 2']:
    """Keep the candidates at which a mask is closest to its border.

    Args:
        logits: Mask logits; 0 is the border.
        candidates: (x, y) in 0..1.
        num_points: How many candidates of each set to keep.

    Returns:
        The candidates with the smallest absolute logit; no gradient passes through the
        choice.

    Raises:
        ValueError: If there are fewer candidates than points.

    Source: Kirillov et al., PointRend, section 3.1.
    """
    if candidates.shape[1] < num_points:
        raise ValueError(
            f'expected at least {num_points} candidates per mask, got '
            f'{candidates.shape[1]}; raise the oversample ratio to 1 or more'
        )
    with torch.no_grad():
        certainty = sample_maps(logits[:, None], candidates)[:, 0].abs()
        kept = certainty.topk(num_points, dim=1, largest=False, sorted=False).indices
    return candidates.gather(1, kept[..., None].expand(-1, -1, 2))
