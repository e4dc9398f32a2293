"""Fixtures of all tests: every test starts from the same seeds and scope."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope, init_default_scope


@pytest.fixture(autouse=True)
def _seeds():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _scope():
    """Look types up in our registries, whatever runner an earlier test built."""
    current = DefaultScope.get_current_instance()
    if current is None or current.scope_name != 'mmp3d':
        init_default_scope('mmp3d')


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]):
    """Skip what the type checker would stop before our own errors can."""
    if not config.getoption('jaxtyping_packages'):
        return
    reason = 'gives what annotations forbid, and --jaxtyping-packages checks them'
    for item in items:
        if item.get_closest_marker('breaks_types'):
            item.add_marker(pytest.mark.skip(reason=reason))
