"""Schedules, clipping and the first step of the optimiser against closed forms."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
SCHEDULES = ROOT / 'configs' / '_base_' / 'schedules'


def _rates(schedulers: list[dict], steps: int, base: float = 0.2) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=base)
    built = [PARAM_SCHEDULERS.build(dict(s, optimizer=optimizer)) for s in schedulers]
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in built:
            scheduler.step()
    return rates


def test_poly_ends_after_the_last_iteration():
    rates = _rates([dict(type='PolyLR', power=0.9, end=11, by_epoch=False)], 10)
    assert rates == pytest.approx([0.2 * (1 - t / 10) ** 0.9 for t in range(10)])


def test_warm_up_multiplies_poly():
    warm_up = dict(type='LinearLR', start_factor=0.1, end=5, by_epoch=False)
    poly = dict(type='PolyLR', power=0.9, end=21, by_epoch=False)
    expected = [
        0.2 * (0.1 * (1 - t / 4) + t / 4 if t < 4 else 1) * (1 - t / 20) ** 0.9
        for t in range(20)
    ]
    assert _rates([warm_up, poly], 20) == pytest.approx(expected)


def test_multi_step_drops_at_its_milestones():
    steps = dict(type='MultiStepLR', milestones=[3, 7], gamma=0.1, by_epoch=False)
    expected = [0.2] * 3 + [0.02] * 4 + [0.002] * 2
    assert _rates([steps], 9) == pytest.approx(expected)


@pytest.mark.parametrize('name', ['poly_110k', 'poly_120k', 'poly_180k'])
def test_published_schedules_end_with_the_run(name: str):
    cfg = Config.fromfile(SCHEDULES / f'{name}.py')
    (poly,) = cfg.param_scheduler
    assert (poly.power, poly.begin, poly.eta_min) == (0.9, 0, 0.0)
    assert poly.end == cfg.train_cfg.max_iters + 1
    assert cfg.optim_wrapper.clip_grad == dict(max_norm=0.01, norm_type=2)


def test_gradients_are_clipped_by_their_global_norm():
    first, second = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(2))
    wrapper = OptimWrapper(
        torch.optim.SGD([first, second], lr=1.0), clip_grad=dict(max_norm=1.3)
    )
    wrapper.update_params(3 * first.sum() + (torch.tensor([4.0, 12.0]) * second).sum())
    torch.testing.assert_close(first.data, torch.tensor([-0.3]))  # norm 13
    torch.testing.assert_close(second.data, torch.tensor([-0.4, -1.2]))


def test_the_first_step_of_adamw():
    weight = nn.Parameter(torch.tensor([2.0, -4.0]))
    cfg = Config.fromfile(SCHEDULES / 'poly_180k.py').optim_wrapper.optimizer
    optimizer = torch.optim.AdamW([weight], lr=cfg.lr, weight_decay=cfg.weight_decay)
    (torch.tensor([0.3, -7.0]) * weight).sum().backward()
    optimizer.step()
    # Decay by lr * 0.05, then a step of lr against the sign of the gradient.
    expected = torch.tensor([2.0, -4.0]) * (1 - 5e-6) - torch.tensor([1e-4, -1e-4])
    torch.testing.assert_close(weight.data, expected, rtol=0, atol=1e-6)
