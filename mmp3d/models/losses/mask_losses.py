"""Losses of matched masks, one number per mask, and their weighted mean."""

from __future__ import annotations

from jaxtyping import Float
from mmdet.models.losses.dice_loss import dice_loss
from mmengine.dist import all_reduce
from torch import Tensor
from torch.nn import functional as F


def mask_bce(
    logits: Float[Tensor, 'M P'], targets: Float[Tensor, 'M P']
) -> Float[Tensor, ' M']:
    """Mean binary cross-entropy of each mask.

    Args:
        logits: Before the sigmoid, read at P points.
        targets: 0..1 at the same points.
    """
    return F.binary_cross_entropy_with_logits(
        logits, targets.to(logits.dtype), reduction='none'
    ).mean(dim=1)


def mask_dice(
    logits: Float[Tensor, 'M P'], targets: Float[Tensor, 'M P']
) -> Float[Tensor, ' M']:
    """Dice loss of each mask, 0..1, smoothed by 1 so that empty masks agree."""
    return dice_loss(
        logits.sigmoid(), targets, eps=1.0, reduction='none', naive_dice=True
    )


def weighted_mean(
    values: Float[Tensor, ' M'], weights: Float[Tensor, ' M']
) -> Float[Tensor, '']:
    """Mean of values that count differently; 0 where there is none.

    Several processes divide by their average weight, so that the average of their
    results is the mean over all of them; all have to call this equally often. The
    result keeps its link to the graph even when empty, so that every process of a
    distributed run takes part in the backward pass.
    """
    weights = weights.to(values.dtype)
    total = weights.sum()
    all_reduce(total, op='mean')
    return (weights * values).sum() / total.clamp(min=1e-12)
