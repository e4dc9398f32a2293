"""Losses of stage 2: distance field, occupancy and query masks at strides 4, 2, 1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor, nn
from torch.nn import functional as F

from mmp3d.models.losses.mask_losses import weighted_mean
from mmp3d.models.matchers import Matching
from mmp3d.registry import MODELS
from mmp3d.sparse import SparseVoxels
from mmp3d.structures import PanopticReconstructionSample
from mmp3d.utils import check_positive
from projects.NvPanoptix3D.nvpanoptix3d.frustum_targets import (
    FrustumTargets,
    LevelTargets,
    build_frustum_targets,
)
from projects.NvPanoptix3D.nvpanoptix3d.structures import FrustumPredictions


@MODELS.register_module()
class FrustumCriterion(nn.Module):
    """All losses of stage 2.

    Every sample counts with its ``loss_weight``, every voxel with its weight. Queries
    without a target get no loss.

    Args:
        tudf_weight: Weight of ``loss_tudf`` (voxels). 5 for 3D-Front, 10 for
            Matterport3D.
        occupancy_weights: Weights of ``loss_occupancy_4``, ``_2`` and ``_1``.
        mask_weight: Weight of ``loss_volume_mask_4``, ``_2`` and ``_1`` each.
        occupancy_bands: A cell of stride 4, 2, 1 is occupied where the distance to the
            next surface is below this many voxels. The last is 12 in the published
            training, which keeps most voxels at stride 1; Uni-3D has 3.
        tudf_target_limit: Targets of the distance are cut off at this many voxels. 12
            in the published training, although predictions end at 3; Uni-3D has 3.

    Source: NVPanoptix3D, stage 2; Uni-3D, section 3.4.
    """

    def __init__(
        self,
        tudf_weight: float = 5.0,
        occupancy_weights: Sequence[float] = (50.0, 25.0, 10.0),
        mask_weight: float = 25.0,
        occupancy_bands: Sequence[float] = (8.0, 6.0, 12.0),
        tudf_target_limit: float = 12.0,
    ) -> None:
        super().__init__()
        for name, values in (
            ('occupancy_weights', occupancy_weights),
            ('occupancy_bands', occupancy_bands),
        ):
            if len(values) != 3:
                raise ValueError(
                    f'{name} of FrustumCriterion must be three numbers, for strides 4, '
                    f'2 and 1, got {values}'
                )
        check_positive('tudf_target_limit', tudf_target_limit)
        self.tudf_weight = tudf_weight
        self.occupancy_weights = tuple(occupancy_weights)
        self.mask_weight = mask_weight
        self.occupancy_bands = tuple(occupancy_bands)
        self.tudf_target_limit = tudf_target_limit

    def forward(
        self,
        frustum: FrustumPredictions,
        data_samples: Sequence[PanopticReconstructionSample],
        matchings: Sequence[Matching],
    ) -> dict[str, Tensor]:
        """Give the weighted terms.

        Args:
            frustum: With coarse masks.
            data_samples: Need ``gt_volume`` and ``gt_instances``.
            matchings: Which query answers for which target, by stage 1's masks.

        Returns:
            ``loss_tudf``, ``loss_occupancy_{4,2,1}``, ``loss_volume_mask_{4,2,1}``.
        """
        device = frustum.tudf.feats.device
        targets = [
            build_frustum_targets(sample, self.occupancy_bands, device)
            for sample in data_samples
        ]
        return self.losses(frustum, targets, matchings)

    def losses(
        self,
        frustum: FrustumPredictions,
        targets: Sequence[FrustumTargets],
        matchings: Sequence[Matching],
    ) -> dict[str, Tensor]:
        """Give the weighted terms for finished targets; see ``forward``.

        Raises:
            ValueError: If the decoder ran without its coarse masks.
        """
        if frustum.mask_logits_4 is None or frustum.mask_logits_2 is None:
            raise ValueError(
                'FrustumCriterion needs mask_logits_4 and mask_logits_2, got None. Run '
                'the frustum decoder with with_coarse_masks=True.'
            )
        level_4 = [t.stride_4 for t in targets]
        level_2 = [t.stride_2 for t in targets]
        level_1 = [t.stride_1 for t in targets]
        weights = frustum.tudf.feats.new_tensor([t.sample_weight for t in targets])
        num_masks = _num_masks(targets, weights)

        def mean(per_image: Float[Tensor, ' B']) -> Float[Tensor, '']:
            return (weights * per_image).sum() / num_masks

        occupancy = (
            _dense_occupancy_loss(frustum.occupancy_logits_4, level_4, weights),
            _occupancy_loss(frustum.occupancy_logits_2, level_2, weights),
            _occupancy_loss(frustum.occupancy_logits_1, level_1, weights),
        )
        masks = (
            mean(_dense_mask_loss(frustum.mask_logits_4, level_4, matchings)),
            mean(_mask_loss(frustum.mask_logits_2, None, level_2, matchings)),
            mean(
                _mask_loss(
                    frustum.mask_features_1, frustum.mask_queries_1, level_1, matchings
                )
            ),
        )
        losses = {
            'loss_tudf': self.tudf_weight * self._tudf_loss(frustum.tudf, targets)
        }
        for i, stride in enumerate((4, 2, 1)):
            weight = self.occupancy_weights[i]
            losses[f'loss_occupancy_{stride}'] = weight * occupancy[i]
            losses[f'loss_volume_mask_{stride}'] = self.mask_weight * masks[i]
        return losses

    def _tudf_loss(
        self, tudf: SparseVoxels, targets: Sequence[FrustumTargets]
    ) -> Float[Tensor, '']:
        wanted = _look_up([t.tudf for t in targets], tudf.coords)
        wanted = wanted.clamp(max=self.tudf_target_limit)
        voxel_weights = _look_up([t.stride_1.weights for t in targets], tudf.coords)
        errors = (tudf.feats[:, 0] - wanted).abs() * voxel_weights
        samples = tudf.feats.new_tensor([t.sample_weight for t in targets])
        return weighted_mean(errors, samples[tudf.coords[:, 0].long()])


def _num_masks(
    targets: Sequence[FrustumTargets], weights: Float[Tensor, ' B']
) -> Float[Tensor, '']:
    """Weighted number of targets: mean over processes; of all together at least 1."""
    counts = weights.new_tensor([t.num_targets for t in targets])
    num_masks = (weights * counts).sum()
    all_reduce(num_masks, op='mean')
    return num_masks.clamp(min=1 / get_world_size())


def _look_up(volumes: Sequence[Tensor], coords: Int[Tensor, 'N 4']) -> Tensor:
    """Read each sample's volume at its voxels."""
    values = volumes[0].new_zeros(len(coords))
    for sample, volume in enumerate(volumes):
        rows = (coords[:, 0] == sample).nonzero()[:, 0]
        x, y, z = coords[rows, 1:].long().unbind(dim=1)
        values[rows] = volume[x, y, z]
    return values


def _bce(logits: Tensor, wanted: Bool[Tensor, '*cells']) -> Tensor:
    return F.binary_cross_entropy_with_logits(
        logits, wanted.to(logits.dtype), reduction='none'
    )


def _occupancy_loss(
    logits: SparseVoxels, levels: Sequence[LevelTargets], weights: Float[Tensor, ' B']
) -> Float[Tensor, '']:
    wanted = _look_up([level.occupancy for level in levels], logits.coords)
    voxel_weights = _look_up([level.weights for level in levels], logits.coords)
    errors = _bce(logits.feats[:, 0], wanted) * voxel_weights
    return weighted_mean(errors, weights[logits.coords[:, 0].long()])


def _dense_occupancy_loss(
    logits: Float[Tensor, 'B X Y Z'],
    levels: Sequence[LevelTargets],
    weights: Float[Tensor, ' B'],
) -> Float[Tensor, '']:
    per_image = [
        _mean_inside(image, level.occupancy, level.weights)
        for image, level in zip(logits, levels, strict=True)
    ]
    return weighted_mean(torch.stack(per_image), weights)


def _dense_mask_loss(
    logits: Float[Tensor, 'B Q X Y Z'],
    levels: Sequence[LevelTargets],
    matchings: Sequence[Matching],
) -> Float[Tensor, ' B']:
    per_image = []
    for image, level, matching in zip(logits, levels, matchings, strict=True):
        wanted = level.masks.masks[matching.target_indices]
        errors = _mean_inside(image[matching.query_indices], wanted, level.weights)
        per_image.append(len(matching.query_indices) * errors)
    return torch.stack(per_image)


def _mean_inside(
    logits: Float[Tensor, '*M X Y Z'],
    wanted: Bool[Tensor, '*M X Y Z'],
    weights: Float[Tensor, 'X Y Z'],
) -> Float[Tensor, '']:
    """Mean of the weighted cross-entropy over the cells inside the frustum mask.

    Cells outside hold -inf.
    """
    inside = logits.isfinite()
    errors = _bce(torch.where(inside, logits, 0), wanted) * weights
    return (errors * inside).sum() / inside.sum().clamp(min=1)


def _mask_loss(
    voxels: SparseVoxels,
    queries: Float[Tensor, 'B Q C'] | None,
    levels: Sequence[LevelTargets],
    matchings: Sequence[Matching],
) -> Float[Tensor, ' B']:
    """Sum over matched queries of the mean over voxels, for each image.

    Args:
        voxels: Logits, one channel per query; or features, where ``queries`` is given.
        queries: What the features are multiplied with.
        levels: Targets of this stride.
        matchings: Pairs of each image.
    """
    per_image = []
    for sample, (level, matching) in enumerate(zip(levels, matchings, strict=True)):
        rows = (voxels.coords[:, 0] == sample).nonzero()[:, 0]
        query, target = matching.query_indices, matching.target_indices
        if not len(rows):
            # A target that exists, but no voxel in which it could be found.
            missed = level.masks.are_filled()[target].sum()
            per_image.append(missed + 0 * voxels.feats.sum())
            continue
        if queries is None:
            logits = voxels.feats[rows[:, None], query]  # N M
        else:
            logits = voxels.feats[rows] @ queries[sample, query].T
        cells = voxels.coords[rows, 1:]
        wanted = level.masks.at(cells)[:, target]
        x, y, z = cells.long().unbind(dim=1)
        errors = _bce(logits, wanted) * level.weights[x, y, z, None]
        per_image.append(errors.mean(dim=0).sum())
    return torch.stack(per_image)
