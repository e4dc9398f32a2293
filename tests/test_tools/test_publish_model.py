"""What ``tools/publish_model.py`` writes, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest
import torch

from mmp3d.fileio import read_checkpoint
from tools import publish_model


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs the tool on a checkpoint's content; gives the path it writes to."""

    def run(content: dict, *options: str) -> Path:
        torch.save(content, tmp_path / 'iter_7.pth')
        out = tmp_path / 'model.safetensors'
        words = [str(tmp_path / 'iter_7.pth'), str(out), *options]
        monkeypatch.setattr(sys, 'argv', ['publish_model.py', *words])
        publish_model.main()
        return out

    return run


def _checkpoint(weight: float = 1 / 3) -> dict:
    state = {'fc.weight': torch.full((2, 3), weight), 'fc.bias': torch.ones(2) / 3}
    meta = {'experiment_name': 'tiny_stage1_20260101_120000', 'iter': 7, 'seed': 5}
    return {'state_dict': state, 'meta': meta, 'optimizer': {'state': {}}}


def test_weights_come_with_their_provenance(publish):
    out = publish(_checkpoint(), '--note', 'data=synthetic', 'licence=Apache-2.0')
    for name, tensor in read_checkpoint(out).items():
        assert torch.equal(tensor, _checkpoint()['state_dict'][name])
    record = json.loads(out.with_suffix('.json').read_text())
    assert record['sha256'] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert (record['parameters'], record['iterations'], record['seed']) == (8, 7, 5)
    assert (record['config'], record['data']) == ('tiny_stage1', 'synthetic')


def test_halves_are_for_matrices_that_fit(publish):
    found = read_checkpoint(publish(_checkpoint(), '--half'))
    assert found['fc.weight'].dtype == torch.float16
    assert found['fc.bias'].dtype == torch.float32
    with pytest.raises(ValueError, match='does not fit into half precision'):
        publish(_checkpoint(1e6), '--half')


def test_bare_weights_have_no_record(publish):
    with pytest.raises(ValueError, match=r'iter_7\.pth holds no record of its run'):
        publish({'state_dict': _checkpoint()['state_dict']})
