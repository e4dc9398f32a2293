import pytest
import torch
from mmengine.structures import InstanceData, PixelData

from mmp3d.structures import PanopticReconstructionSample, QueryPredictions
from projects.NvPanoptix3D.nvpanoptix3d.panoptic_depth_criterion import (
    PanopticDepthCriterion,
)
from projects.NvPanoptix3D.nvpanoptix3d.structures import ViewPredictions

PADDED = (16, 24)
LN2 = 0.6931472


def queries_of(batch_size, num_queries=5) -> QueryPredictions:
    return QueryPredictions(
        torch.randn(batch_size, num_queries, 14, requires_grad=True),
        torch.randn(batch_size, num_queries, 4, 6, requires_grad=True),
    )


def views_of(batch_size=2, num_auxiliary=2, planes=True) -> ViewPredictions:
    nothing = torch.zeros(batch_size, 1, 1, 1)
    return ViewPredictions(
        final=queries_of(batch_size),
        auxiliary=tuple(queries_of(batch_size) for _ in range(num_auxiliary)),
        queries=nothing[..., 0],
        depth=(torch.rand(batch_size, 7, 9) * 5).requires_grad_(),
        plane_logits=torch.randn(batch_size, 3, 4, 5) if planes else None,
        mask_features=nothing,
        pyramid=(nothing, nothing, nothing),
        depth_features=nothing,
        pose_encoding=None,
    )


def sample_of(num_instances=3, size=(13, 20), **metainfo):
    sample = PanopticReconstructionSample(metainfo=metainfo)
    sample.gt_instances = InstanceData(
        labels=torch.randint(1, 12, (num_instances,)),
        masks=torch.rand(num_instances, *size) > 0.5,
    )
    sample.gt_depth_map = PixelData(depth=torch.rand(1, *size) * 5)
    sample.gt_plane_depth = PixelData(depth=torch.rand(1, 4, 5).round())
    sample.gt_plane_occupancy = PixelData(occupancy=torch.rand(3, 4, 5) > 0.5)
    return sample


def criterion(**options) -> PanopticDepthCriterion:
    return PanopticDepthCriterion(num_points=20, **options)


def test_names_and_gradients_of_all_terms():
    views = views_of()
    losses = criterion()(views, [sample_of(3), sample_of(2)], PADDED)
    per_layer = {'loss_cls', 'loss_mask', 'loss_dice'}
    expected = {f'{p}{n}' for p in ('', 'd0.', 'd1.') for n in per_layer}
    assert set(losses) == expected | {'loss_depth', 'loss_plane_occupancy'}
    sum(losses.values()).backward()
    for predictions in (views.final, *views.auxiliary):
        assert predictions.class_logits.grad.abs().sum() > 0
        assert predictions.mask_logits.grad.abs().sum() > 0
    assert views.depth.grad.abs().sum() > 0


def test_without_plane_occupancy_its_term_is_absent():
    losses = criterion()(views_of(planes=False), [sample_of(), sample_of()], PADDED)
    assert 'loss_plane_occupancy' not in losses


def test_class_loss_divides_by_the_number_of_queries():
    views = views_of(1, 0)
    views.final.class_logits.data.zero_()
    losses = criterion(class_weight=1.0)(views, [sample_of(2)], PADDED)
    # Two matched queries count 1, the three others 0.1: ln 14 * 2.3 / 5.
    assert losses['loss_cls'].item() == pytest.approx(2.639057 * 2.3 / 5)


def test_plane_loss_sums_planes_and_averages_known_pixels():
    views = views_of(1, 0)
    views.plane_logits.zero_()
    losses = criterion(plane_occupancy_weight=1.0)(views, [sample_of()], PADDED)
    assert losses['loss_plane_occupancy'].item() == pytest.approx(3 * LN2)


def test_empty_masks_of_zero_logits_cost_ln_2():
    views = views_of(1, 0)
    views.final.mask_logits.data.zero_()
    losses = criterion(mask_weight=1.0)(views, [sample_of()], PADDED)
    assert losses['loss_mask'].item() == pytest.approx(LN2)


@pytest.mark.parametrize('use_point_sampling', [True, False])
def test_good_masks_cost_less_than_bad_ones(use_point_sampling):
    views, sample = views_of(1, 0), sample_of(1, PADDED)
    sample.gt_instances.masks[:] = False
    sample.gt_instances.masks[:, :8] = True
    losses = criterion(use_point_sampling=use_point_sampling)
    good = views.final.mask_logits.data
    good[:, :, :2], good[:, :, 2:] = 9.0, -9.0
    low = losses(views, [sample], PADDED)
    bad = ViewPredictions(
        **{**vars(views), 'final': QueryPredictions(views.final.class_logits, -good)}
    )
    high = losses(bad, [sample], PADDED)
    for name in ('loss_mask', 'loss_dice'):
        assert low[name].item() < 0.5 * high[name].item()


def test_images_count_by_their_weight():
    views = views_of(2, 0)
    samples = [sample_of(loss_weight=1.0), sample_of(loss_weight=0.0)]
    first = ViewPredictions(
        final=QueryPredictions(
            views.final.class_logits[:1], views.final.mask_logits[:1]
        ),
        auxiliary=(),
        queries=views.queries[:1],
        depth=views.depth[:1],
        plane_logits=views.plane_logits[:1],
        mask_features=views.mask_features[:1],
        pyramid=tuple(level[:1] for level in views.pyramid),
        depth_features=views.depth_features[:1],
        pose_encoding=None,
    )
    options = {'use_point_sampling': False}
    both = criterion(**options)(views, samples, PADDED)
    alone = criterion(**options)(first, samples[:1], PADDED)
    for name, value in alone.items():
        torch.testing.assert_close(both[name], value)


def test_a_batch_without_any_instance_still_learns_depth_and_classes():
    views = views_of()
    losses = criterion()(views, [sample_of(0), sample_of(0)], PADDED)
    assert losses['loss_mask'].item() == losses['loss_dice'].item() == 0
    assert losses['loss_cls'].item() > 0
    assert losses['loss_depth'].item() > 0
    sum(losses.values()).backward()
    assert views.final.mask_logits.grad.abs().sum() == 0


def test_depth_supervision_may_need_instances():
    views, samples = views_of(2, 0), [sample_of(0), sample_of(0)]
    losses = criterion(depth_needs_instances=True)(views, samples, PADDED)
    assert losses['loss_depth'].item() == 0


def test_an_image_without_known_depth_costs_nothing():
    views, sample = views_of(1, 0), sample_of()
    sample.gt_depth_map.depth.zero_()
    sample.gt_plane_depth.depth.zero_()
    losses = criterion()(views, [sample], PADDED)
    assert losses['loss_depth'].item() == losses['loss_plane_occupancy'].item() == 0


def test_depth_outside_the_room_is_not_supervised():
    views, samples = views_of(1, 0), [sample_of()]
    everywhere = torch.ones(1, 5, 6, dtype=torch.bool)
    without = criterion()(views, samples, PADDED)['loss_depth']
    inside = criterion()(views, samples, PADDED, room_mask=everywhere)['loss_depth']
    outside = criterion()(views, samples, PADDED, room_mask=~everywhere)['loss_depth']
    torch.testing.assert_close(without, inside)
    assert outside.item() == 0


def test_more_targets_than_queries():
    losses = criterion()(views_of(1), [sample_of(9)], PADDED)
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_matching_gives_one_result_per_image():
    samples = [sample_of(3), sample_of(0)]
    first, second = criterion().match(views_of(), samples, PADDED)
    assert sorted(first.target_indices.tolist()) == [0, 1, 2]
    assert len(second.query_indices) == 0


def test_all_points_may_be_uncertain_or_uniform():
    for share in (0.0, 1.0):
        losses = criterion(importance_sample_ratio=share)(
            views_of(1), [sample_of()], PADDED
        )
        assert torch.isfinite(losses['loss_mask'])


def test_targets_larger_than_the_batch_are_refused():
    with pytest.raises(ValueError, match=r'at most \(16, 24\) pixels.*got \(17, 20\)'):
        criterion()(views_of(1), [sample_of(size=(17, 20))], PADDED)


def test_plane_targets_of_another_size_are_refused():
    sample = sample_of()
    sample.gt_plane_occupancy = PixelData(occupancy=torch.ones(4, 4, 5).bool())
    with pytest.raises(ValueError, match=r'targets \(3, 4, 5\) as predicted'):
        criterion()(views_of(1), [sample], PADDED)


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match='depth_target must be one of'):
        PanopticDepthCriterion(depth_target='nearest')
    with pytest.raises(ValueError, match='num_points must be positive'):
        PanopticDepthCriterion(num_points=0)
    with pytest.raises(ValueError, match='oversample_ratio >= 1'):
        PanopticDepthCriterion(oversample_ratio=0.5)
