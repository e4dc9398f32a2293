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
