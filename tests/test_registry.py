"""Every look-up under our scope finds a registry of ours, and warns of nothing."""

from __future__ import annotations

import logging

import pytest
from mmengine import registry as root
from mmengine.registry import Registry

from mmp3d import registry as ours

NAMES = sorted(n for n, value in vars(root).items() if isinstance(value, Registry))


@pytest.mark.parametrize('name', NAMES)
def test_our_scope_has_a_child_of_each_registry(
    name: str, caplog: pytest.LogCaptureFixture
):
    assert len(NAMES) >= 23
    logging.getLogger('mmengine').propagate = True
    with getattr(root, name).switch_scope_and_registry(None) as found:
        assert found is getattr(ours, name)
    assert not caplog.records


def test_host_types_stay_reachable():
    for name, type_name in (
        ('LOOPS', 'IterBasedTrainLoop'),
        ('OPTIMIZERS', 'AdamW'),
        ('PARAM_SCHEDULERS', 'PolyLR'),
        ('VISBACKENDS', 'TensorboardVisBackend'),
        ('FUNCTIONS', 'pseudo_collate'),
        ('TRANSFORMS', 'mmdet.PhotoMetricDistortion'),
    ):
        assert getattr(ours, name).get(type_name).__name__ == type_name.split('.')[-1]
