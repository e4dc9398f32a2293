"""The command lines of the tools: mmdet3d's options reach what they claim to change."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from tools import test as test_tool
from tools import train as train_tool

ROOT = Path(__file__).resolve().parents[2]
CONFIG = str(ROOT / 'configs/nvpanoptix3d/nvpanoptix3d_tiny_stage2_synthrooms.py')


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    """Runs a tool up to its runner; gives the config that the runner would get."""
    seen: list[Config] = []
    runner = SimpleNamespace(train=lambda: None, test=lambda: None)
    monkeypatch.setattr(
        Runner, 'from_cfg', classmethod(lambda cls, cfg: (seen.append(cfg), runner)[1])
    )
    monkeypatch.setenv('LOCAL_RANK', '0')

    def run(tool, *words: str) -> Config:
        monkeypatch.setattr(sys, 'argv', ['tool.py', *words])
        tool.main()
        return seen.pop()

    return run


def test_train_takes_mmdet3d_s_options(run):
    cfg = run(train_tool, CONFIG)
    assert cfg.work_dir == 'work_dirs/nvpanoptix3d_tiny_stage2_synthrooms'
    assert (cfg.resume, cfg.launcher) == (False, 'none')
    assert cfg.load_from.endswith('.pth')
    words = '--work-dir w --launcher pytorch --sync_bn torch --resume --cfg-options'
    cfg = run(train_tool, CONFIG, *words.split(), 'train_cfg.max_iters=7')
    assert (cfg.work_dir, cfg.launcher, cfg.sync_bn) == ('w', 'pytorch', 'torch')
    assert (cfg.resume, cfg.load_from) == (True, None)
    assert cfg.train_cfg.max_iters == 7
    cfg = run(train_tool, CONFIG, '--resume', 'x/iter_3.pth')
    assert (cfg.resume, cfg.load_from) == (True, 'x/iter_3.pth')


@pytest.mark.parametrize(
    ('gpu', 'wrapper'), [(True, 'AmpOptimWrapper'), (False, 'AutocastOptimWrapper')]
)
def test_mixed_precision_suits_the_device(run, monkeypatch, gpu: bool, wrapper: str):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpu)
    assert run(train_tool, CONFIG, '--amp').optim_wrapper.type == wrapper


def test_the_learning_rate_is_scaled_only_where_a_config_says_how(run):
    with pytest.raises(KeyError, match='base_batch_size'):
        run(train_tool, CONFIG, '--auto-scale-lr')
    option = 'auto_scale_lr.base_batch_size=8'
    cfg = run(train_tool, CONFIG, '--auto-scale-lr', '--cfg-options', option)
    assert cfg.auto_scale_lr == dict(base_batch_size=8, enable=True)


def test_test_takes_mmdet3d_s_options(run):
    cfg = run(test_tool, CONFIG, 'x.pth')
    assert (cfg.load_from, cfg.default_hooks.visualization.draw) == ('x.pth', False)
    cfg = run(test_tool, CONFIG, 'x.pth', '--work-dir', 'w', '--show-dir', 'panels')
    assert cfg.work_dir == 'w'
    assert cfg.default_hooks.visualization.draw
    assert cfg.default_hooks.visualization.test_out_dir == 'panels'


def test_show_dir_needs_the_hook(run, tmp_path: Path):
    config = tmp_path / 'config.py'
    config.write_text('default_hooks = dict()\n')
    with pytest.raises(KeyError, match=r'needs default_hooks\.visualization'):
        run(test_tool, str(config), 'x.pth', '--show-dir', 'panels')


@pytest.fixture
def shell(tmp_path: Path):
    """Runs a launch script with programs that print their arguments."""
    for name in ('python', 'srun'):
        program = tmp_path / name
        program.write_text('#!/bin/sh\necho "$0 $*"\n')
        program.chmod(0o755)

    def shell(script: str, *words: str, **variables: str) -> str:
        done = subprocess.run(
            ['bash', ROOT / 'tools' / script, *words],
            env={'PATH': f'{tmp_path}:{os.environ["PATH"]}', **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.replace(f'{tmp_path}/', '').replace(f'{ROOT}/', '')

    return shell


def test_dist_scripts_start_one_process_per_gpu(shell):
    out = shell('dist_train.sh', 'c.py', '8', '--amp', PORT='1234', NNODES='2')
    assert out.startswith('python -m torch.distributed.run --nnodes=2 --node_rank=0 ')
    assert '--master_port=1234 --nproc_per_node=8' in out
    assert out.endswith('tools/train.py c.py --launcher pytorch --amp\n')
    out = shell('dist_test.sh', 'c.py', 'x.pth', '4', '--show-dir', 'a b')
    assert '--nproc_per_node=4' in out
    assert out.endswith('test.py c.py x.pth --launcher pytorch --show-dir a b\n')


def test_slurm_script_asks_for_whole_nodes(shell):
    words = ('gpus', 'job', 'c.py', 'work', '--resume')
    out = shell('slurm_train.sh', *words, GPUS='16', SRUN_ARGS='--time=1 --qos=q')
    assert out.startswith('srun -p gpus --job-name=job --gres=gpu:8 --ntasks=16 ')
    assert '--ntasks-per-node=8' in out and '--time=1 --qos=q python -u' in out
    assert out.endswith('c.py --work-dir=work --launcher=slurm --resume\n')
