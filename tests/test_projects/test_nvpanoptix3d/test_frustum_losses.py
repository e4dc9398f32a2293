"""Losses of stage 2, worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from mmengine.structures import InstanceData

from mmp3d.models.matchers import Matching
from mmp3d.sparse import SparseVoxels
from mmp3d.structures import PanopticReconstructionSample, VolumeData
from projects.NvPanoptix3D.nvpanoptix3d.frustum_losses import FrustumCriterion
from projects.NvPanoptix3D.nvpanoptix3d.frustum_targets import (
    DenseMasks,
    FrustumTargets,
    LevelTargets,
)
from projects.NvPanoptix3D.nvpanoptix3d.structures import FrustumPredictions

LN2 = math.log(2)
DIMS = (8, 8, 16)


def _level(stride: int, num_targets: int) -> LevelTargets:
    dims = [n // stride for n in DIMS]
    return LevelTargets(
        occupancy=torch.rand(dims) > 0.5,
        weights=torch.rand(dims) + 0.5,
        masks=DenseMasks(torch.rand(num_targets, *dims) > 0.7),
    )


def _targets(num_targets: int, sample_weight: float = 1.0) -> FrustumTargets:
    return FrustumTargets(
        tudf=12 * torch.rand(DIMS),
        stride_1=_level(1, num_targets),
        stride_2=_level(2, num_targets),
        stride_4=_level(4, num_targets),
        num_targets=num_targets,
        sample_weight=sample_weight,
    )


def _voxels(counts: list[int], channels: int, stride: int) -> SparseVoxels:
    coords = [
        torch.cat(
            (
                torch.full((n, 1), b),
                torch.stack([torch.randint(d // stride, (n,)) for d in DIMS], dim=1),
            ),
            dim=1,
        )
        for b, n in enumerate(counts)
    ]
    feats = torch.randn(sum(counts), channels, requires_grad=True)
    return SparseVoxels(torch.cat(coords), feats, stride, len(counts))


def _predictions(counts: list[int], num_queries: int = 5) -> FrustumPredictions:
    batch = len(counts)
    dims = [n // 4 for n in DIMS]
    outside = torch.rand(batch, *dims) < 0.3
    kept = _voxels(counts, 3, 1)
    return FrustumPredictions(
        occupancy_logits_4=torch.randn(batch, *dims).masked_fill(outside, -torch.inf),
        occupancy_logits_2=_voxels(counts, 1, 2),
        occupancy_logits_1=_voxels(counts, 1, 1),
        mask_logits_4=torch.randn(batch, num_queries, *dims).masked_fill(
            outside[:, None], -torch.inf
        ),
        mask_logits_2=_voxels(counts, num_queries, 2),
        mask_features_1=kept,
        mask_queries_1=torch.randn(batch, num_queries, 3),
        tudf=replace(_voxels(counts, 1, 1), coords=kept.coords),
    )


def _pairs(*pairs: tuple[int, int]) -> Matching:
    query, target = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T
    return Matching(query, target)


def _unweighted(**options) -> FrustumCriterion:
    return FrustumCriterion(
        tudf_weight=1.0, occupancy_weights=(1.0, 1.0, 1.0), mask_weight=1.0, **options
    )


def test_distance_is_compared_up_to_the_limit():
    targets, predictions = _targets(0), _predictions([3])
    coords = torch.tensor([[0, 0, 0, 0], [0, 1, 2, 3], [0, 7, 7, 15]])
    targets.tudf[0, 0, 0], targets.tudf[1, 2, 3], targets.tudf[7, 7, 15] = 1, 9, 2
    for cell, weight in (((0, 0, 0), 1), ((1, 2, 3), 0.5), ((7, 7, 15), 2)):
        targets.stride_1.weights[cell] = weight
    feats = torch.tensor([[2.0], [3.0], [2.5]])
    predictions = replace(
        predictions, tudf=SparseVoxels(coords, feats, stride=1, batch_size=1)
    )
    published = _unweighted().losses(predictions, [targets], [_pairs()])
    torch.testing.assert_close(published['loss_tudf'], torch.tensor((1 + 3 + 1) / 3))
    limited = _unweighted(tudf_target_limit=3.0)
    losses = limited.losses(predictions, [targets], [_pairs()])
    torch.testing.assert_close(losses['loss_tudf'], torch.tensor((1 + 0 + 1) / 3))


def test_unsure_occupancy_costs_ln_2_inside_the_mask():
    predictions = _predictions([4])
    logits = torch.where(predictions.occupancy_logits_4.isfinite(), 0.0, -torch.inf)
    targets = _targets(0)
    targets.stride_4.weights.fill_(2)
    losses = _unweighted().losses(
        replace(predictions, occupancy_logits_4=logits), [targets], [_pairs()]
    )
    torch.testing.assert_close(losses['loss_occupancy_4'], torch.tensor(2 * LN2))


def test_unsure_masks_cost_ln_2_per_target():
    predictions = _predictions([6])
    predictions = replace(
        predictions,
        mask_logits_4=torch.where(predictions.mask_logits_4.isfinite(), 0, -torch.inf),
        mask_logits_2=predictions.mask_logits_2.map(torch.zeros_like),
        mask_queries_1=torch.zeros_like(predictions.mask_queries_1),
    )
    targets = _targets(3)
    for level in (targets.stride_1, targets.stride_2, targets.stride_4):
        level.weights.fill_(1)
    matching = _pairs((0, 2), (4, 1))  # two of the three
    losses = _unweighted().losses(predictions, [targets], [matching])
    for stride in (4, 2, 1):
        loss = losses[f'loss_volume_mask_{stride}']
        torch.testing.assert_close(loss, torch.tensor(2 * LN2 / 3))


def test_weights_multiply_their_terms():
    predictions, targets = _predictions([6, 4]), [_targets(2), _targets(1)]
    matchings = [_pairs((1, 0), (3, 1)), _pairs((0, 0))]
    plain = _unweighted().losses(predictions, targets, matchings)
    weighted = FrustumCriterion().losses(predictions, targets, matchings)
    factors = {
        'loss_tudf': 5,
        'loss_occupancy_4': 50,
        'loss_occupancy_2': 25,
        'loss_occupancy_1': 10,
        'loss_volume_mask_4': 25,
        'loss_volume_mask_2': 25,
        'loss_volume_mask_1': 25,
    }
    assert weighted.keys() == factors.keys()
    for name, factor in factors.items():
        torch.testing.assert_close(weighted[name], factor * plain[name])


def test_a_sample_of_weight_zero_does_not_count():
    predictions, first = _predictions([6, 4]), _targets(2)
    matchings = [_pairs((1, 0), (3, 1)), _pairs((0, 0))]
    both = _unweighted().losses(
        predictions, [first, _targets(1, sample_weight=0.0)], matchings
    )

    def alone(voxels: SparseVoxels) -> SparseVoxels:
        rows = voxels.coords[:, 0] == 0
        return SparseVoxels(voxels.coords[rows], voxels.feats[rows], voxels.stride, 1)

    single = FrustumPredictions(
        occupancy_logits_4=predictions.occupancy_logits_4[:1],
        occupancy_logits_2=alone(predictions.occupancy_logits_2),
        occupancy_logits_1=alone(predictions.occupancy_logits_1),
        mask_logits_4=predictions.mask_logits_4[:1],
        mask_logits_2=alone(predictions.mask_logits_2),
        mask_features_1=alone(predictions.mask_features_1),
        mask_queries_1=predictions.mask_queries_1[:1],
        tudf=alone(predictions.tudf),
    )
    expected = _unweighted().losses(single, [first], matchings[:1])
    for name, loss in both.items():
        torch.testing.assert_close(loss, expected[name])


def test_order_of_the_pairs_does_not_matter():
    predictions, targets = _predictions([6]), [_targets(2)]
    there = _unweighted().losses(predictions, targets, [_pairs((1, 0), (3, 1))])
    back = _unweighted().losses(predictions, targets, [_pairs((3, 1), (1, 0))])
    for name, loss in there.items():
        torch.testing.assert_close(loss, back[name])


def test_no_voxel_counts_the_targets_that_were_missed():
    targets = _targets(3)
    targets.stride_2.masks.masks[1] = False
    losses = _unweighted().losses(
        _predictions([0]), [targets], [_pairs((0, 0), (1, 1), (2, 2))]
    )
    # Two of three targets have a cell at stride 2, all three at stride 1.
    torch.testing.assert_close(losses['loss_volume_mask_2'], torch.tensor(2 / 3))
    torch.testing.assert_close(losses['loss_volume_mask_1'], torch.tensor(1.0))
    assert losses['loss_tudf'] == losses['loss_occupancy_1'] == 0


@pytest.mark.parametrize('counts', [[0, 0], [5, 0], [3, 4]])
def test_every_term_has_a_finite_gradient(counts):
    predictions = _predictions(counts)
    targets, matchings = [_targets(0), _targets(2)], [_pairs(), _pairs((1, 0))]
    losses = FrustumCriterion().losses(predictions, targets, matchings)
    total = sum(losses.values())
    total.backward()
    assert total.isfinite()
    for voxels in (
        predictions.occupancy_logits_2,
        predictions.occupancy_logits_1,
        predictions.mask_logits_2,
        predictions.mask_features_1,
        predictions.tudf,
    ):
        assert voxels.feats.grad is not None
        assert voxels.feats.grad.isfinite().all()


def test_samples_are_their_own_targets():
    sample = PanopticReconstructionSample()
    semantic = torch.randint(0, 12, DIMS, dtype=torch.uint8)
    sample.gt_volume = VolumeData(
        tudf=3 * torch.rand(DIMS),
        semantic=semantic,
        instance_ids=(semantic == 3).int(),
        weights=torch.ones(DIMS),
    )
    sample.gt_instances = InstanceData(
        labels=torch.tensor([3, 10]), instance_ids=torch.tensor([1, 0])
    )
    predictions = _predictions([5])
    cells = tuple(predictions.tudf.coords[:, 1:].T)
    perfect = predictions.tudf.with_feats(sample.gt_volume.tudf[cells][:, None])
    losses = FrustumCriterion()(
        replace(predictions, tudf=perfect), [sample], [_pairs((0, 1), (2, 0))]
    )
    assert losses['loss_tudf'] == 0
    assert all(loss.isfinite() for loss in losses.values())


def test_predictions_without_coarse_masks_are_refused():
    predictions = replace(_predictions([2]), mask_logits_2=None)
    with pytest.raises(ValueError, match='with_coarse_masks=True'):
        FrustumCriterion().losses(predictions, [_targets(0)], [_pairs()])


@pytest.mark.parametrize('name', ['occupancy_weights', 'occupancy_bands'])
def test_three_levels_need_three_numbers(name):
    with pytest.raises(ValueError, match=f'{name} of FrustumCriterion must be three'):
        FrustumCriterion(**{name: (1.0, 2.0)})
