"""The stage-1 head against the recorded numbers of the reference."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from golden import Golden, golden_files, load
from torch import Tensor, nn

from mmp3d.models.pixel_decoders import MSDeformAttnPixelDecoder
from mmp3d.structures import PixelFeatures
from projects.NvPanoptix3D.nvpanoptix3d.checkpoint_keys import to_ours, to_published
from projects.NvPanoptix3D.nvpanoptix3d.depth_aware_decoder import DepthAwareDecoder
from projects.NvPanoptix3D.nvpanoptix3d.depth_projector import DepthProjector
from projects.NvPanoptix3D.nvpanoptix3d.plane_occupancy_head import PlaneOccupancyHead


def _load_weights(module: nn.Module, golden: Golden, published: str, ours: str):
    """Carry a fixture's weights through the converter's rules into ``module``."""
    converted = to_ours({published + k: v for k, v in golden.weights.items()})
    assert not converted.unknown
    state = {
        name.removeprefix(ours): tensor
        for name, tensor in converted.state.items()
        if name.startswith(ours)
    }
    module.load_state_dict(state, strict=True)
    return module.eval()


def _numbered(golden: Golden, stem: str) -> tuple[Tensor, ...]:
    count = sum(name.startswith(stem) for name in golden.inputs)
    return tuple(golden.tensor(f'{stem}{i}') for i in range(count))


def _pyramid(golden: Golden) -> tuple[Tensor, ...]:
    return tuple(golden.tensor(name) for name in ('res2', 'res3', 'res4', 'res5'))


def _difference(ours: Tensor, expected: np.ndarray) -> float:
    assert tuple(ours.shape) == expected.shape
    return (ours - torch.from_numpy(expected)).abs().max().item()


def _scaled_difference(ours: Tensor, expected: np.ndarray) -> float:
    return _difference(ours, expected) / max(np.abs(expected).max(), 1e-12)


def _occupancy_head(
    golden: Golden, num_planes: int, plane_size: list[int]
) -> PlaneOccupancyHead:
    shapes = {
        name.removeprefix('occupancy_module.'): tuple(weight.shape)
        for name, weight in golden.weights.items()
    }
    steps = [shapes[f'decoder.up{i}.conv1.weight'][0] for i in range(1, 5)]
    return PlaneOccupancyHead(
        in_channels=[level.shape[1] for level in _pyramid(golden)],
        num_planes=num_planes,
        plane_size=plane_size,
        decoder_channels=[shapes['decoder.conv.weight'][0], *steps],
        fused_channels=shapes['multi_feature_fuser.up1.conv1.weight'][0],
    )


def _check_decoded(decoded, golden: Golden, difference, limit: float) -> None:
    expected = golden.outputs
    final, auxiliary = decoded.final, decoded.auxiliary
    assert difference(final.class_logits, expected['pred_logits']) <= limit
    assert difference(final.mask_logits, expected['pred_masks']) <= limit
    assert difference(decoded.queries, expected['segm_decoder_out']) <= limit
    assert len(auxiliary) == sum(
        name.startswith('aux') and name.endswith('pred_logits') for name in expected
    )
    for i, prediction in enumerate(auxiliary):
        logits, masks = expected[f'aux{i}/pred_logits'], expected[f'aux{i}/pred_masks']
        assert difference(prediction.class_logits, logits) <= limit
        assert difference(prediction.mask_logits, masks) <= limit


@pytest.mark.parametrize('path', golden_files('D_depth_projector*.npz'))
@torch.no_grad()
def test_depth_projector(path):
    golden = load(path)
    meta = golden.meta
    projector = _load_weights(
        DepthProjector(meta['in_channels'], meta['out_channels']),
        golden,
        'sem_seg_head.depth_projector.',
        'panoptic_head.depth_projector.',
    )
    sizes = [tuple(size) for size in meta['level_hw_coarse_to_fine']]
    levels = projector(_numbered(golden, 'depth_features_'), sizes)
    for i, level in enumerate(levels):
        assert _difference(level, golden.outputs[f'projected_{i}']) <= 1e-5


@pytest.mark.parametrize('path', golden_files('D_occupancy_head*.npz'))
@torch.no_grad()
def test_occupancy_head(path):
    golden = load(path)
    head = _load_weights(
        _occupancy_head(
            golden, golden.meta['num_bins'], golden.meta['prediction_target_size']
        ),
        golden,
        'sem_seg_head.occupancy_module.',
        'panoptic_head.plane_occupancy.',
    )
    logits = head(_pyramid(golden))
    assert _difference(logits, golden.outputs['occupancy']) <= 1e-4


@pytest.mark.parametrize('path', golden_files('D_pixel_decoder*.npz'))
@torch.no_grad()
def test_pixel_decoder(path):
    golden = load(path)
    meta = golden.meta
    decoder = MSDeformAttnPixelDecoder(
        in_channels=meta['channels'],
        channels=meta['conv_dim'],
        mask_channels=meta['mask_dim'],
        num_layers=meta['transformer_enc_layers'],
        num_heads=meta['transformer_nheads'],
        num_points=meta['n_points'],
        feedforward_channels=meta['transformer_dim_feedforward'],
        num_groups=meta['num_groups'],
    )
    _load_weights(decoder, golden, 'sem_seg_head.pixel_decoder.', 'pixel_decoder.')
    pixels = decoder(_pyramid(golden))
    assert _difference(pixels.mask_features, golden.outputs['mask_features']) <= 1e-4
    for i, level in enumerate(pixels.pyramid):
        assert _difference(level, golden.outputs[f'multi_scale_{i}']) <= 1e-4


@pytest.mark.parametrize('path', golden_files('D_transformer_decoder*.npz'))
@torch.no_grad()
def test_transformer_decoder(path):
    golden = load(path)
    meta = golden.meta
    decoder = DepthAwareDecoder(
        num_classes=meta['num_classes'],
        channels=meta['hidden_dim'],
        mask_channels=meta['mask_dim'],
        num_queries=meta['num_queries'],
        num_layers=meta['dec_layers'],
        num_heads=meta['nheads'],
        feedforward_channels=meta['dim_feedforward'],
    )
    _load_weights(decoder, golden, 'sem_seg_head.predictor.', 'panoptic_head.decoder.')
    pixels = PixelFeatures(golden.tensor('mask_features'), _numbered(golden, 'level_'))
    decoded = decoder(pixels, _numbered(golden, 'depth_level_'))
    _check_decoded(decoded, golden, _difference, 1e-4)


@pytest.mark.parametrize('path', golden_files('D_whole_head*.npz'))
@torch.no_grad()
def test_whole_head(path):
    golden = load(path)
    meta = golden.meta
    pyramid = _pyramid(golden)
    depth_pyramid = _numbered(golden, 'depth_features_')
    modules = nn.ModuleDict(
        {
            'pixel_decoder': MSDeformAttnPixelDecoder(
                in_channels=meta['channels'],
                channels=meta['conv_dim'],
                mask_channels=meta['mask_dim'],
                num_layers=meta['enc_layers'],
                num_heads=meta['nheads'],
                feedforward_channels=meta['transformer_dim_feedforward'],
            ),
            'panoptic_head': nn.ModuleDict(
                {
                    'decoder': DepthAwareDecoder(
                        num_classes=meta['num_classes'],
                        channels=meta['hidden_dim'],
                        mask_channels=meta['mask_dim'],
                        num_queries=meta['num_queries'],
                        num_layers=meta['dec_layers_built'],
                        num_heads=meta['nheads'],
                        feedforward_channels=meta['dim_feedforward'],
                    ),
                    'depth_projector': DepthProjector(
                        depth_pyramid[0].shape[1], meta['hidden_dim']
                    ),
                    'plane_occupancy': _occupancy_head(
                        golden, meta['num_bins'], meta['occupancy_target_size']
                    ),
                }
            ),
        }
    )
    _load_weights(modules, golden, 'sem_seg_head.', '')
    head = modules['panoptic_head']
    pixels = modules['pixel_decoder'](pyramid)
    sizes = [tuple(level.shape[-2:]) for level in pixels.pyramid]
    decoded = head['decoder'](pixels, head['depth_projector'](depth_pyramid, sizes))
    occupancy = head['plane_occupancy'](pyramid)
    expected = golden.outputs

    _check_decoded(decoded, golden, _scaled_difference, 1e-3)
    assert _scaled_difference(occupancy, expected['occupancy']) <= 1e-3
    assert _scaled_difference(pixels.mask_features, expected['mask_features']) <= 1e-3
    assert _difference(depth_pyramid[-1], expected['depth_features']) == 0
    for i, level in enumerate(pixels.pyramid):
        assert _scaled_difference(level, expected[f'enc_features_{i}']) <= 1e-3


def _full_size_head() -> nn.ModuleDict:
    with torch.device('meta'):
        return nn.ModuleDict(
            {
                'pixel_decoder': MSDeformAttnPixelDecoder((256, 512, 1024, 2048)),
                'panoptic_head': nn.ModuleDict(
                    {
                        'decoder': DepthAwareDecoder(num_classes=13),
                        'depth_projector': DepthProjector(),
                        'plane_occupancy': PlaneOccupancyHead((256, 512, 1024, 2048)),
                    }
                ),
            }
        )


@pytest.mark.parametrize('path', golden_files('A_stage1_front3d_keys.json'))
def test_every_published_tensor_of_the_head_is_accounted_for(path):
    inventory = json.loads(path.read_text())
    published = {
        name: torch.empty(key['shape'], device='meta')
        for name, key in inventory['keys'].items()
        if name.startswith('sem_seg_head.')
    }
    converted = to_ours(published)
    ours = _full_size_head().state_dict()

    assert converted.unknown == ()
    assert set(converted.state) == set(ours)
    assert all(converted.state[name].shape == ours[name].shape for name in ours)
    assert len(converted.state) + len(converted.dropped) == len(published)
    assert all(converted.dropped.values())
    dropped = {name.split('.')[2] for name in converted.dropped}
    assert dropped == {
        'cross_transformer_attention_layers',
        'depth_decoder_norm',
        'depth_embed',
        'proj_convs1',
        'proj_convs2',
    }
    back = to_published(converted.state)
    assert set(back.state) == set(published) - set(converted.dropped)
