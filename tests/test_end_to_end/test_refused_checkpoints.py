"""A pickle that would run code is refused by every tool that takes a checkpoint."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config

from mmp3d.tao.__main__ import main as tao
from projects.NvPanoptix3D.tools import convert_checkpoint


class Malicious:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.marker),)


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    weights = {'panoptic_head.decoder.norm.weight': torch.zeros(2)}
    content = {'state_dict': weights, 'meta': Malicious(tmp_path / 'it_ran')}
    torch.save(content, tmp_path / 'bad.pth')
    return tmp_path / 'bad.pth'


COMMANDS = {
    'train': 'train CONFIG --cfg-options load_from=BAD',
    'resume': 'train CONFIG --resume BAD',
    'test': 'test CONFIG BAD',
    'infer': 'infer CONFIG BAD IMAGE --out OUT',
    'publish': 'publish_model BAD OUT',
}


@pytest.mark.parametrize('name', COMMANDS)
def test_tools_refuse_code_in_a_checkpoint(
    name: str,
    bad: Path,
    rooms: Path,
    tiny_config: Callable[[int, Path], Config],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    config = tmp_path / 'stage1.py'
    tiny_config(1, tmp_path / name).dump(config)
    image = next((rooms / 'data').glob('synth-test-*/rgb_*.png'))
    paths = dict(CONFIG=config, BAD=bad, IMAGE=image, OUT=tmp_path / 'out')
    command = COMMANDS[name]
    for placeholder, path in paths.items():
        command = command.replace(placeholder, str(path))
    tool, *arguments = command.split()
    monkeypatch.setattr(sys, 'argv', [tool, *arguments])
    monkeypatch.setenv('LOCAL_RANK', '0')
    with pytest.raises(ValueError, match=r'bad\.pth.*foreign code \(.*mkdir\)'):
        importlib.import_module(f'tools.{tool}').main()
    assert not (tmp_path / 'it_ran').exists()


def test_the_converter_refuses_code_in_a_checkpoint(bad: Path, tmp_path: Path):
    for options in ([], ['--reverse']):
        with pytest.raises(SystemExit, match=r'bad\.pth: .*foreign code'):
            convert_checkpoint.main([str(bad), str(tmp_path / 'out.pth'), *options])
    assert not (tmp_path / 'it_ran').exists()


@pytest.mark.parametrize(
    'override',
    [
        'train.checkpoint_2d={}',
        'train.resume_training_checkpoint_path={}',
        'model.backbone.pretrained_model_path={}',
        'evaluate.checkpoint={}',
        'inference.checkpoint={}',
    ],
)
def test_tao_commands_refuse_code_in_a_checkpoint(
    override: str,
    bad: Path,
    rooms: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
):
    monkeypatch.delenv('LOCAL_RANK', raising=False)
    images = next((rooms / 'data').glob('synth-test-*'))
    values = dict(
        results_dir=str(tmp_path / 'results'),
        train=dict(optim=dict(lr_scheduler='WarmupPoly')),
        inference=dict(images_dir=str(images)),
    )
    spec = tmp_path / 'spec.yaml'
    spec.write_text(yaml.safe_dump(values))
    section = override.partition('.')[0]
    action = section if section in ('evaluate', 'inference') else 'train'
    assert tao([action, '-e', str(spec), override.format(bad)]) == 1
    assert 'bad.pth: loading it would run foreign code' in capsys.readouterr().err
    assert not (tmp_path / 'it_ran').exists()
