"""Learning rates by part, weight decay by kind."""

from __future__ import annotations

import pytest
from torch import nn

from mmp3d.engine.optim_wrapper_constructor import PartwiseOptimWrapperConstructor


def _net() -> nn.Module:
    net = nn.Module()
    net.backbone = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 5))
    net.backbone[2].requires_grad_(False)
    net.head = nn.Sequential(nn.Embedding(2, 3), nn.Conv2d(3, 2, 1), nn.GroupNorm(1, 2))
    return net


def _build(net: nn.Module, **paramwise: object):
    options = dict(optimizer=dict(type='AdamW', lr=1e-2, weight_decay=0.05))
    return PartwiseOptimWrapperConstructor(options, paramwise)(net)


def test_groups_follow_the_recipe():
    net = _net()
    wrapper = _build(net, lr_mults={'backbone': 0.1})
    found = {
        id(p): (g['lr'], g['weight_decay'])
        for g in wrapper.optimizer.param_groups
        for p in g['params']
    }
    assert found == {
        id(net.backbone[0].weight): (1e-3, 0.05),
        id(net.backbone[0].bias): (1e-3, 0.05),
        id(net.backbone[1].weight): (1e-3, 0.0),
        id(net.backbone[1].bias): (1e-3, 0.0),
        id(net.head[0].weight): (1e-2, 0.0),
        id(net.head[1].weight): (1e-2, 0.05),
        id(net.head[1].bias): (1e-2, 0.05),
        id(net.head[2].weight): (1e-2, 0.0),
        id(net.head[2].bias): (1e-2, 0.0),
    }


def test_impossible_settings_are_named():
    with pytest.raises(KeyError, match="did you mean 'backbone'"):
        _build(_net(), lr_mults={'backbon': 0.1})
    with pytest.raises(KeyError, match='unknown paramwise_cfg keys'):
        _build(_net(), custom_keys={})
    with pytest.raises(ValueError, match='nothing to train'):
        _build(_net().requires_grad_(False))
