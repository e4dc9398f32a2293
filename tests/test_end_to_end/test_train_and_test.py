"""Both stages train and test through the runner."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mmdet3d
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

ROOT = Path(__file__).resolve().parents[2]
MakeConfig = Callable[[int, Path], Config]


def _state(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)['state_dict']


def test_stage_2_leaves_stage_1_unchanged(trained: dict[int, Path]):
    first, second = _state(trained[1]), _state(trained[2])
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=0, atol=0, msg=name)
    assert any(name.startswith('frustum_branch.') for name in second)


@pytest.mark.parametrize('stage', [1, 2])
def test_testing_gives_metrics_and_panels(
    stage: int, trained: dict[int, Path], tiny_config: MakeConfig, tmp_path: Path
):
    cfg = tiny_config(stage, tmp_path / 'work')
    cfg.load_from = str(trained[stage])
    cfg.default_hooks.visualization.update(draw=True, test_out_dir=str(tmp_path / 'p'))
    metrics = Runner.from_cfg(cfg).test()
    expected = {'image/PQ', 'depth/abs_rel'}
    if stage == 2:
        expected |= {'reconstruction/PRQ', 'reconstruction/RRQ'}
    assert expected <= set(metrics)
    assert math.isfinite(metrics['depth/abs_rel'])
    (panel,) = (tmp_path / 'p').glob('*.png')
    assert panel.stat().st_size > 10_000


def test_a_stage_2_checkpoint_is_refused_by_stage_1(
    trained: dict[int, Path], tiny_config: MakeConfig, tmp_path: Path
):
    cfg = tiny_config(1, tmp_path / 'work')
    cfg.load_from = str(trained[2])
    with pytest.raises(
        ValueError, match=r"unexpected: frustum_branch.*'frustum_branch'"
    ):
        Runner.from_cfg(cfg).test()


def test_a_missing_dataset_says_what_is_expected(
    tiny_config: MakeConfig, tmp_path: Path
):
    cfg = tiny_config(1, tmp_path / 'work')
    cfg.train_dataloader.dataset.data_root = str(tmp_path / 'nowhere')
    with pytest.raises(FileNotFoundError, match=r'make_synthrooms\.py'):
        Runner.from_cfg(cfg).train()


def test_a_missing_checkpoint_is_named(tiny_config: MakeConfig, tmp_path: Path):
    cfg = tiny_config(1, tmp_path / 'work')
    cfg.load_from = str(tmp_path / 'none.pth')
    with pytest.raises(FileNotFoundError, match=r'no checkpoint at .*none\.pth'):
        Runner.from_cfg(cfg).test()


def test_images_without_instances_train(tiny_config: MakeConfig, tmp_path: Path):
    cfg = tiny_config(1, tmp_path / 'work')
    for step in cfg.train_dataloader.dataset.pipeline:
        if step.type == 'MakeInstanceTargets':
            step.min_instance_pixels = 10**6
    cfg.train_dataloader.dataset.label_space = 'front3d'
    runner = Runner.from_cfg(cfg)
    runner.train()
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert np.isfinite(losses).all()


def test_mmdet3d_s_own_tool_trains_our_config(rooms: Path, tmp_path: Path):
    tool = Path(mmdet3d.__file__).parent / '.mim' / 'tools' / 'train.py'
    if not tool.is_file():
        pytest.skip(f'this installation of mmdet3d has no {tool}')
    config = ROOT / 'configs/nvpanoptix3d/nvpanoptix3d_tiny_stage1_synthrooms.py'
    options = [
        'train_cfg.max_iters=1',
        'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
        'train_dataloader.batch_size=1',
        'default_hooks.checkpoint.interval=1',
        *(
            f'{split}_dataloader.dataset.data_root={rooms}'
            for split in ('train', 'val', 'test')
        ),
        'train_dataloader.dataset.grid.dims=(64,64,64)',
        'train_dataloader.dataset.grid.voxel_size=0.12',
    ]
    done = subprocess.run(
        [
            sys.executable,
            tool,
            config,
            '--work-dir',
            tmp_path,
            '--cfg-options',
            *options,
        ],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / 'iter_1.pth').is_file()
