"""Matching and losses of stage 1 against the recorded ones."""

from __future__ import annotations

import pytest
import torch
from golden import Golden, golden_files, load
from mmengine.structures import InstanceData, PixelData
from torch.nn import functional as F

from mmp3d.structures import PanopticReconstructionSample, QueryPredictions
from projects.NvPanoptix3D.nvpanoptix3d.panoptic_depth_criterion import (
    PanopticDepthCriterion,
)
from projects.NvPanoptix3D.nvpanoptix3d.structures import ViewPredictions

FILES = golden_files('E_criterion_case*.npz')


class Replay:
    """The recorded random draws, in their order."""

    def __init__(self, fixture: Golden) -> None:
        names = sorted(name for name in fixture.inputs if name.startswith('rand/'))
        draws = [fixture.tensor(name) for name in names]
        self.left = [draw for draw in draws if draw.numel()]

    def __call__(self, num_sets, num_points, device):
        draw = self.left.pop(0)
        assert draw.shape == (num_sets, num_points, 2)
        return draw.to(device)


def criterion_of(fixture: Golden) -> PanopticDepthCriterion:
    meta, weights = fixture.meta, fixture.meta['weights']
    return PanopticDepthCriterion(
        class_weight=weights['loss_ce'],
        mask_weight=weights['loss_mask'],
        dice_weight=weights['loss_dice'],
        depth_weight=weights['loss_depth'],
        plane_occupancy_weight=weights['loss_mp_occ'],
        no_object_weight=meta['eos_coef'],
        num_points=meta['num_points'],
        oversample_ratio=meta['oversample_ratio'],
        importance_sample_ratio=meta['importance_sample_ratio'],
        use_point_sampling=meta['use_point_sample'],
        depth_needs_instances=False,
        depth_target='bilinear',  # parity
        matcher={
            'type': 'MaskMatcher',
            'class_weight': meta['cost_class'],
            'mask_weight': meta['cost_mask'],
            'dice_weight': meta['cost_dice'],
        },
    )


def views_of(fixture: Golden) -> tuple[ViewPredictions, dict[str, torch.Tensor]]:
    leaves = {
        name: fixture.tensor(name).requires_grad_()
        for name in ('pred_logits', 'pred_masks', 'pred_depths', 'occupancy_pred')
    }
    num_auxiliary = sum(n.endswith('/pred_logits') for n in fixture.inputs)
    auxiliary = tuple(
        QueryPredictions(
            fixture.tensor(f'aux{i}/pred_logits'), fixture.tensor(f'aux{i}/pred_masks')
        )
        for i in range(num_auxiliary)
    )
    batch_size = len(leaves['pred_logits'])
    nothing = torch.zeros(batch_size, 1, 1, 1)
    views = ViewPredictions(
        final=QueryPredictions(leaves['pred_logits'], leaves['pred_masks']),
        auxiliary=auxiliary,
        queries=torch.zeros(batch_size, 1, 1),
        depth=leaves['pred_depths'][:, 0],
        plane_logits=leaves['occupancy_pred'],
        mask_features=nothing,
        pyramid=(nothing, nothing, nothing),
        depth_features=nothing,
        pose_encoding=None,
    )
    return views, leaves


def samples_of(fixture: Golden) -> list[PanopticReconstructionSample]:
    samples = []
    for b in range(len(fixture.inputs['pred_logits'])):
        depth = fixture.tensor(f'image{b}/depth')
        masks = fixture.tensor(f'image{b}/masks').float()
        if masks.shape[1:] != depth.shape and len(masks):
            # Dense masks were recorded at the size of the predictions.
            masks = F.interpolate(masks[:, None], depth.shape, mode='nearest-exact')[
                :, 0
            ]
        sample = PanopticReconstructionSample(
            metainfo={'loss_weight': float(fixture.inputs[f'image{b}/loss_weight'])}
        )
        sample.gt_instances = InstanceData(
            labels=fixture.tensor(f'image{b}/labels'),
            masks=masks.bool().view(-1, *depth.shape),
        )
        sample.gt_depth_map = PixelData(depth=depth[None])
        sample.gt_plane_depth = PixelData(
            depth=fixture.tensor('occupancy_depth_map')[b]
        )
        sample.gt_plane_occupancy = PixelData(
            occupancy=fixture.tensor('occupancy_target')[b].bool()
        )
        samples.append(sample)
    return samples


def padded_size_of(samples) -> tuple[int, int]:
    return tuple(samples[0].gt_depth_map.shape)


def our_name(name: str) -> str:
    """'loss_ce_0' -> 'd0.loss_cls'."""
    stem, _, index = name.rpartition('_')
    stem, prefix = (stem, f'd{index}.') if index.isdigit() else (name, '')
    known = {'loss_ce': 'loss_cls', 'loss_mp_occ': 'loss_plane_occupancy'}
    return prefix + known.get(stem, stem)


@pytest.mark.parametrize('path', FILES)
def test_losses_and_gradients(path):
    fixture = load(path)
    views, leaves = views_of(fixture)
    samples, replay = samples_of(fixture), Replay(fixture)
    room_mask = fixture.inputs.get('room_mask')
    losses = criterion_of(fixture)(
        views,
        samples,
        padded_size_of(samples),
        room_mask=None if room_mask is None else torch.from_numpy(room_mask)[:, 0],
        draw_points=replay,
    )
    assert not replay.left
    expected = {
        name.removeprefix('loss/'): value
        for name, value in fixture.outputs.items()
        if name.startswith('loss/')
    }
    assert set(losses) == {our_name(name) for name in expected}
    for name, value in expected.items():
        ours = losses[our_name(name)].item() / fixture.meta['weights'][name]
        assert ours == pytest.approx(float(value), rel=1e-5, abs=1e-5), name
    total = sum(losses.values())
    assert total.item() == pytest.approx(
        float(fixture.outputs['total_weighted']), rel=1e-5
    )
    total.backward()
    for name, leaf in leaves.items():
        torch.testing.assert_close(
            leaf.grad,
            torch.from_numpy(fixture.outputs[f'grad/{name}']),
            rtol=1e-5,
            atol=1e-5,
        )


@pytest.mark.parametrize('path', FILES)
def test_matching_of_every_prediction(path):
    fixture = load(path)
    views, _ = views_of(fixture)
    samples = samples_of(fixture)
    criterion = criterion_of(fixture)
    replay = Replay(fixture)
    named = {'final': views.final}
    named.update({f'aux{i}': p for i, p in enumerate(views.auxiliary)})
    num_matches = sum(
        len(fixture.outputs[f'match_final/image{b}/query']) for b in range(len(samples))
    )
    for name, predictions in named.items():
        shown = ViewPredictions(**{**vars(views), 'final': predictions})
        matchings = criterion.match(
            shown, samples, padded_size_of(samples), draw_points=replay
        )
        for b, matching in enumerate(matchings):
            found = f'match_{name}/image{b}'
            assert (
                matching.query_indices.tolist()
                == fixture.outputs[f'{found}/query'].tolist()
            )
            assert (
                matching.target_indices.tolist()
                == fixture.outputs[f'{found}/target'].tolist()
            )
        if fixture.meta['use_point_sample'] and num_matches:
            del replay.left[:2]  # the two draws of this prediction's mask losses
