"""Every key of a checkpoint is accounted for."""

from __future__ import annotations

import pytest
import torch
from mmengine.runner import Runner
from torch import nn

from mmp3d.engine.hooks.checkpoint_keys_hook import (
    CheckpointKeysHook,
    check_checkpoint_keys,
)


def _model(*parts: str) -> nn.Module:
    return nn.ModuleDict({part: nn.Linear(2, 3) for part in parts})


def test_a_complete_state_fits():
    model = _model('a', 'b')
    assert check_checkpoint_keys(model, _model('a', 'b').state_dict()) == frozenset()


def test_a_part_may_be_missing_only_as_a_whole():
    model, state = _model('a', 'b'), _model('a').state_dict()
    assert check_checkpoint_keys(model, state, may_be_missing=['b']) == {'b'}
    with pytest.raises(ValueError, match=r'2 keys are missing: b\.weight, b\.bias'):
        check_checkpoint_keys(model, state)
    state['b.bias'] = torch.zeros(3)
    with pytest.raises(ValueError, match=r'1 keys are missing: b\.weight'):
        check_checkpoint_keys(model, state, may_be_missing=['b'])


def test_stage_2_weights_do_not_fit_a_stage_1_model():
    with pytest.raises(ValueError, match='stage-2 checkpoint with a stage-1 config'):
        check_checkpoint_keys(_model('a'), _model('a', 'frustum').state_dict())


def test_a_part_without_weights_is_trained_but_not_tested():
    hook = CheckpointKeysHook(may_be_missing=['frustum'])
    runner = Runner.__new__(Runner)
    runner.model, runner._load_from = _model('a', 'frustum'), 'stage1.pth'
    hook.after_load_checkpoint(runner, {'state_dict': _model('a').state_dict()})
    with pytest.raises(
        ValueError, match=r"stage1\.pth has no weights of \['frustum'\]"
    ):
        hook.before_test(runner)
    hook.after_train(runner)
    hook.before_test(runner)
    hook.after_load_checkpoint(runner, runner.model.state_dict())
    hook.before_test(runner)


def test_another_shape_is_named():
    state = _model('a').state_dict()
    state['a.bias'] = torch.zeros(5)
    with pytest.raises(ValueError, match=r'a\.bias \(5,\) for \(3,\)'):
        check_checkpoint_keys(_model('a'), state)
