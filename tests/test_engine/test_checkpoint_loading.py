"""Runners read checkpoints safely."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from mmengine.runner import load_checkpoint
from safetensors.torch import save_file
from torch import nn

from mmp3d.engine.checkpoint_loading import load_local_checkpoint


def test_safetensors_and_pth_are_read(tmp_path: Path):
    net = nn.Linear(2, 3)
    save_file(net.state_dict(), tmp_path / 'a.safetensors')
    torch.save(dict(state_dict=net.state_dict()), tmp_path / 'a.pth')
    for name in ('a.safetensors', 'a.pth'):
        other = nn.Linear(2, 3)
        load_checkpoint(other, str(tmp_path / name), strict=True)
        torch.testing.assert_close(other.weight, net.weight)


def test_missing_file_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r'no checkpoint at .*none\.pth'):
        load_local_checkpoint(str(tmp_path / 'none.pth'))


def test_code_in_a_checkpoint_is_refused(tmp_path: Path):
    class Malicious:
        def __reduce__(self):
            return os.system, ('true',)

    path = tmp_path / 'bad.pth'
    torch.save({'state_dict': Malicious()}, path)
    with pytest.raises(ValueError, match=r'bad\.pth cannot be loaded safely'):
        load_local_checkpoint(str(path))


def test_truncated_file_is_named(tmp_path: Path):
    path = tmp_path / 'half.pth'
    torch.save(dict(state_dict=nn.Linear(9, 9).state_dict()), path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r'half\.pth cannot be loaded safely'):
        load_local_checkpoint(str(path))
