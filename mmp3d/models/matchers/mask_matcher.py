"""One-to-one matching of queries with target masks, by mmdet's costs and assigner."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from mmdet.models.task_modules.assigners import HungarianAssigner
from mmengine.structures import InstanceData
from torch import Tensor

from mmp3d.registry import TASK_UTILS


@dataclass(frozen=True)
class Matching:
    """The pairs of one image, by ascending query.

    Attributes:
        query_indices: Which query ...
        target_indices: ... answers for which target.
    """

    query_indices: Int[Tensor, ' M']
    target_indices: Int[Tensor, ' M']


@TASK_UTILS.register_module()
class MaskMatcher:
    """Assign targets to queries so that the sum of the pairs' costs is smallest.

    The cost of a pair is the weighted sum of minus the class probability, the mean
    binary cross-entropy and the dice loss of their masks.

    Args:
        class_weight: Weight of the class term.
        mask_weight: Weight of the cross-entropy term.
        dice_weight: Weight of the dice term.

    Source: Cheng et al., Masked-attention Mask Transformer, section 3.3.
    """

    def __init__(
        self,
        class_weight: float = 2.0,
        mask_weight: float = 5.0,
        dice_weight: float = 5.0,
    ) -> None:
        mask_bce = {'type': 'mmdet.CrossEntropyLossCost', 'use_sigmoid': True}
        mask_dice = {'type': 'mmdet.DiceCost', 'pred_act': True, 'eps': 1.0}
        self.assigner = HungarianAssigner(
            match_costs=[
                {'type': 'mmdet.ClassificationCost', 'weight': class_weight},
                {**mask_bce, 'weight': mask_weight},
                {**mask_dice, 'weight': dice_weight},
            ]
        )

    @torch.no_grad()
    def cost(
        self,
        class_logits: Float[Tensor, 'Q L'],
        mask_logits: Float[Tensor, 'Q P'],
        labels: Int[Tensor, ' N'],
        masks: Float[Tensor, 'N P'],
    ) -> Float[Tensor, 'Q N']:
        """Give the cost of every pair; arguments as in ``__call__``."""
        queries, targets = _as_instances(class_logits, mask_logits, labels, masks)
        return sum(cost(queries, targets) for cost in self.assigner.match_costs)

    @torch.no_grad()
    def __call__(
        self,
        class_logits: Float[Tensor, 'Q L'],
        mask_logits: Float[Tensor, 'Q P'],
        labels: Int[Tensor, ' N'],
        masks: Float[Tensor, 'N P'],
    ) -> Matching:
        """Match the queries of one image.

        Args:
            class_logits: Before the softmax, 'no object' last.
            mask_logits: Before the sigmoid, read at P points or at all pixels.
            labels: Columns of ``class_logits``.
            masks: Target masks, 0..1, read at the same points.

        Returns:
            ``min(Q, N)`` pairs.
        """
        queries, targets = _as_instances(class_logits, mask_logits, labels, masks)
        target_of = self.assigner.assign(queries, targets).gt_inds - 1
        matched = (target_of >= 0).nonzero()[:, 0]
        return Matching(matched, target_of[matched])


def _as_instances(
    class_logits: Tensor, mask_logits: Tensor, labels: Tensor, masks: Tensor
) -> tuple[InstanceData, InstanceData]:
    queries = InstanceData(scores=class_logits.float(), masks=mask_logits.float())
    return queries, InstanceData(labels=labels, masks=masks.float())
