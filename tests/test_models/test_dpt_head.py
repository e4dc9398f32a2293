"""The DPT depth head."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mmp3d.models.heads import DPTHead
from mmp3d.models.heads.dpt_head import FeatureFusion, ResidualConvUnit
from mmp3d.registry import MODELS


def tiny(**changes) -> DPTHead:
    sizes = {
        'in_channels': 12,
        'patch_size': 6,
        'features': 16,
        'out_channels': (4, 8, 12, 16),
    }
    return DPTHead(**{**sizes, **changes})


def four_layers(batch_size: int, patches: int) -> list[torch.Tensor]:
    return [torch.randn(batch_size, patches, 12) for _ in range(4)]


def test_depth_is_positive_and_as_large_as_the_patches():
    maps = tiny()(four_layers(2, 15), (3, 5))
    assert maps.depth.shape == maps.confidence.shape == (2, 18, 30)
    assert (maps.depth > 0).all()
    assert (maps.confidence > 1).all()


def test_pyramid_is_fine_to_coarse():
    maps = tiny()(four_layers(2, 15), (3, 5))
    shapes = [tuple(plane.shape) for plane in maps.pyramid]
    assert shapes == [(2, 16, 24, 40), (2, 16, 12, 20), (2, 16, 6, 10), (2, 16, 3, 5)]


@pytest.mark.parametrize('init_depth', [0.5, 2.5])
def test_untrained_depth_starts_near_the_given_one(init_depth):
    maps = tiny(init_depth=init_depth)(four_layers(1, 15), (3, 5))
    torch.testing.assert_close(
        maps.depth.log().mean().exp(), torch.tensor(init_depth), atol=0, rtol=0.5
    )


def test_init_depth_sets_one_bias():
    head = tiny(init_depth=2.0)
    bias = head.scratch.output_conv2[-1].bias
    torch.testing.assert_close(bias[0].exp(), torch.tensor(2.0))


def test_skip_path_carries_the_activated_input():
    unit = ResidualConvUnit(2)
    torch.nn.init.zeros_(unit.conv2.weight)
    torch.nn.init.zeros_(unit.conv2.bias)
    x = torch.randn(1, 2, 3, 4)
    torch.testing.assert_close(unit(x), x.clamp(min=0))


def test_input_is_left_as_it_was():
    x = torch.randn(1, 2, 3, 4)
    copy = x.clone()
    ResidualConvUnit(2)(x)
    assert torch.equal(x, copy)


def test_convolving_before_the_resize_gives_the_published_order():
    fusion = FeatureFusion(4)
    coarse, finer = torch.randn(2, 1, 4, 3, 5)
    refined = fusion.resConfUnit2(coarse + fusion.resConfUnit1(finer))
    published = fusion.out_conv(
        F.interpolate(refined, (6, 11), mode='bilinear', align_corners=True)
    )
    torch.testing.assert_close(
        fusion(coarse, finer, (6, 11)), published, atol=1e-6, rtol=1e-5
    )


def test_coarsest_fusion_has_no_finer_unit():
    assert not hasattr(FeatureFusion(4, has_finer=False), 'resConfUnit1')


def test_batch_equals_one_by_one():
    head = tiny()
    layers = four_layers(3, 6)
    together = head(layers, (2, 3)).depth
    alone = [head([t[i : i + 1] for t in layers], (2, 3)).depth for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_every_parameter_is_trained_by_the_depth():
    head = tiny()
    head(four_layers(1, 6), (2, 3)).depth.sum().backward()
    assert [n for n, p in head.named_parameters() if p.grad is None] == []


def test_builds_on_the_meta_device():
    with torch.device('meta'):
        head = MODELS.build({'type': 'DPTHead', 'in_channels': 12, 'init_depth': 2.0})
    assert head.scratch.output_conv1.weight.is_meta


def test_features_must_be_a_multiple_of_eight():
    with pytest.raises(ValueError, match='multiple of 8, got 12'):
        tiny(features=12)


def test_init_depth_must_be_positive():
    with pytest.raises(ValueError, match='init_depth must be positive'):
        tiny(init_depth=0.0)
