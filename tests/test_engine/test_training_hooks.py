"""What the default hooks promise, on a toy model: resume, kill, stop, NaN."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import re
import signal
import time
from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner
from test_engine.toy_run import last_checkpoint, toy_config, train

from mmp3d.datasets import ResumableInfiniteSampler
from mmp3d.engine import STOPPED_EXIT_CODE


def _losses(checkpoint: dict) -> list[float]:
    return checkpoint['message_hub']['log_scalars']['train/loss'].data[0].tolist()


def test_forty_iterations_equal_17_and_23(tmp_path: Path):
    def run(name: str, max_iters: int, resume: Path | None = None) -> dict:
        cfg = toy_config(tmp_path / name, max_iters)
        cfg.train_dataloader.update(num_workers=2, persistent_workers=True)
        cfg.resume, cfg.load_from = resume is not None, str(resume or '') or None
        train(cfg)
        return last_checkpoint(cfg.work_dir)

    whole = run('whole', 40)
    first = run('first', 17)
    resumed = run('second', 40, tmp_path / 'first' / 'iter_17.pth')
    assert _losses(first) == _losses(whole)[:17]
    assert _losses(resumed) == _losses(whole) and len(_losses(whole)) == 40
    for name, value in whole['state_dict'].items():
        assert torch.equal(resumed['state_dict'][name], value), name
    for index, state in whole['optimizer']['state'].items():
        for name, value in state.items():
            found = resumed['optimizer']['state'][index][name]
            assert torch.equal(found, value), name
    assert resumed['meta']['data_order'] == whole['meta']['data_order']
    assert whole['meta']['data_order']['position'] == 80


def test_another_batch_size_goes_on_at_the_same_sample(tmp_path: Path):
    whole = train(toy_config(tmp_path / 'whole', 6)).model.seen
    train(toy_config(tmp_path / 'first', 3))
    cfg = toy_config(tmp_path / 'second', 5)
    cfg.load_from, cfg.resume = str(tmp_path / 'first' / 'iter_3.pth'), True
    cfg.train_dataloader.batch_size = 3
    runner = train(cfg)
    assert runner.model.seen == whole[6:]
    assert last_checkpoint(cfg.work_dir)['meta']['data_order']['position'] == 12


def test_weights_alone_do_not_move_the_data(tmp_path: Path):
    first = train(toy_config(tmp_path / 'first', 2)).model.seen
    cfg = toy_config(tmp_path / 'second', 2)
    cfg.load_from = str(tmp_path / 'first' / 'iter_2.pth')
    assert train(cfg).model.seen == first


def test_old_checkpoints_are_deleted(tmp_path: Path):
    train(toy_config(tmp_path, 5))
    assert sorted(p.name for p in tmp_path.glob('*.pth')) == [
        'iter_4.pth',
        'iter_5.pth',
    ]


def test_a_broken_loss_stops_the_run(tmp_path: Path):
    cfg = toy_config(tmp_path, 20)
    sampler = ResumableInfiniteSampler(range(7), seed=cfg.randomness.seed)
    broken = list(itertools.islice(sampler, 6))[5]  # comes in iteration 3
    cfg.train_dataloader.dataset.broken = int(broken)
    with pytest.raises(FloatingPointError) as error:
        train(cfg)
    message = str(error.value)
    assert 'iteration 3' in message and 'loss_fit = nan' in message
    assert f"'room_{broken}'" in message and 'iter_2.pth' in message
    checkpoint = last_checkpoint(tmp_path)
    assert checkpoint['meta']['iter'] == 2
    assert all(v.isfinite().all() for v in checkpoint['state_dict'].values())


def test_sigterm_saves_and_exits_with_its_code(tmp_path: Path):
    before = signal.getsignal(signal.SIGTERM)
    cfg = toy_config(tmp_path, 20)
    cfg.default_hooks.checkpoint.interval = 100
    cfg.model.sigterm_at = 3
    with pytest.raises(SystemExit) as stop:
        train(cfg)
    assert stop.value.code == STOPPED_EXIT_CODE == 75
    assert last_checkpoint(tmp_path)['meta']['iter'] == 3
    assert signal.getsignal(signal.SIGTERM) is before
    cfg.model.sigterm_at, cfg.resume = -1, True
    train(cfg)
    assert last_checkpoint(tmp_path)['meta']['iter'] == 20


def _save_for_ever(runner: Runner) -> None:
    torch.set_num_threads(1)
    runner.train()


def _named_iteration(work_dir: Path) -> int:
    """The number in the name that ``last_checkpoint`` has; 0 without one."""
    named = work_dir / 'last_checkpoint'
    number = re.search(r'iter_(\d+)', named.read_text() if named.is_file() else '')
    return int(number.group(1)) if number else 0


@pytest.mark.parametrize('kept', [1, 2])
def test_kill_9_leaves_a_checkpoint_that_loads(kept: int, tmp_path: Path):
    cfg = toy_config(tmp_path, 10**6)
    cfg.param_scheduler[0].end = 10**6
    cfg.default_hooks.checkpoint.max_keep_ckpts = kept
    cfg.resume = True
    runner = Runner.from_cfg(cfg)
    dice, reached = random.Random(kept), 0
    for _ in range(25):
        process = multiprocessing.get_context('fork').Process(
            target=_save_for_ever, args=(runner,), daemon=True
        )
        process.start()
        # It has resumed and saves all the time: most of an iteration is saving.
        while _named_iteration(tmp_path) < reached + 3:
            assert process.is_alive()
            time.sleep(0.002)
        time.sleep(dice.uniform(0, 0.03))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        iteration = last_checkpoint(tmp_path)['meta']['iter']
        assert iteration >= reached + 3
        reached = iteration


def test_bfloat16_runs_on_the_cpu(tmp_path: Path):
    cfg = toy_config(tmp_path / 'float32', 3)
    expected = _losses(last_checkpoint(train(cfg).work_dir))
    cfg = toy_config(tmp_path / 'bfloat16', 3)
    cfg.optim_wrapper.type = 'AutocastOptimWrapper'
    runner = train(cfg)
    losses = _losses(last_checkpoint(runner.work_dir))
    assert runner.model.dtypes == {torch.bfloat16}
    assert runner.model.linear.weight.dtype == torch.float32
    # Three digits of bfloat16, over three steps.
    assert losses != expected and losses == pytest.approx(expected, rel=0.05)
    cfg.optim_wrapper.dtype = 'float8'
    with pytest.raises(ValueError, match='bfloat16'):
        Runner.from_cfg(cfg).train()
