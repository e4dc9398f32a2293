"""Frozen means: no gradient, and no running statistic moves."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mmp3d.utils import check_choice, check_positive, freeze_modules, nearest_name


def _net() -> nn.Module:
    net = nn.Module()
    net.stem = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    net.head = nn.Linear(4, 2)
    return net


def test_named_parts_get_no_gradient_and_stay_in_eval_mode():
    net = _net()
    freeze_modules(net, ['stem'])
    assert not any(p.requires_grad for p in net.stem.parameters())
    assert all(p.requires_grad for p in net.head.parameters())
    before = net.stem[1].running_mean.clone()
    net.stem(torch.randn(5, 3))
    torch.testing.assert_close(net.stem[1].running_mean, before, rtol=0, atol=0)


def test_unknown_name_is_an_error_with_the_nearest_one():
    with pytest.raises(KeyError, match="did you mean 'stem'"):
        freeze_modules(_net(), ['stm'])


def test_checks_name_what_came():
    with pytest.raises(
        ValueError, match=r"mode must be one of .*'losss'.*did you mean"
    ):
        check_choice('mode', 'losss', ('loss', 'predict'))
    with pytest.raises(ValueError, match='width must be positive, got -1'):
        check_positive('width', -1)
    assert nearest_name('zzz', ['loss']) == ''
