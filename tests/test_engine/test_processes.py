"""Several processes compute what one computes with their global batch."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from test_engine.toy_run import last_checkpoint, toy_config, train
from torch import distributed

from mmp3d.datasets import ResumableInfiniteSampler
from mmp3d.engine import STOPPED_EXIT_CODE
from mmp3d.models.layers import BatchNorm2d
from mmp3d.models.losses import weighted_mean

two_cpu_processes = pytest.mark.skipif(
    torch.cuda.is_available(), reason='two CPU processes; this machine has a GPU'
)
VALUES = torch.randn(4, 3, 2, 5, generator=torch.Generator().manual_seed(1)) + 2
WEIGHTS = torch.tensor([1.0, 0.5, 0.0, 3.0])


def _loss(images: torch.Tensor, weights: torch.Tensor, norm: BatchNorm2d):
    normal = norm(images)
    return weighted_mean((normal**3 + normal).mean(dim=(1, 2, 3)), weights)


def _join(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ['LOCAL_RANK'] = str(rank)
    distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2
    )


def _work(rank: int, folder: Path) -> None:
    _join(rank, folder)
    norm = BatchNorm2d(3)
    mine = slice(rank, None, 2)
    images = VALUES[mine].clone().requires_grad_()
    loss = _loss(images, WEIGHTS[mine], norm)
    loss.backward()
    result = loss.detach(), images.grad, norm.weight.grad, deepcopy(norm.state_dict())
    single = norm(torch.ones(1, 3, 1, 1) * rank)
    torch.save([*result, single.detach()], folder / f'{rank}.pth')
    distributed.destroy_process_group()


def _fork(target: Callable[..., None], *args: object) -> list[int]:
    """Run two processes; give their exit codes."""
    context = multiprocessing.get_context('fork')
    processes = [context.Process(target=target, args=(r, *args)) for r in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    return [process.exitcode for process in processes]


def test_two_processes_share_means_and_batch_statistics(tmp_path: Path):
    assert _fork(_work, tmp_path) == [0, 0]
    norm = BatchNorm2d(3)
    images = VALUES.clone().requires_grad_()
    loss = _loss(images, WEIGHTS, norm)
    loss.backward()
    parts = [torch.load(tmp_path / f'{r}.pth') for r in (0, 1)]
    torch.testing.assert_close((parts[0][0] + parts[1][0]) / 2, loss.detach())
    for rank, (_, grad, _, state, _) in enumerate(parts):
        # Data-parallel training averages over processes what is summed here.
        torch.testing.assert_close(grad / 2, images.grad[rank::2])
        torch.testing.assert_close(state, norm.state_dict())
    torch.testing.assert_close((parts[0][2] + parts[1][2]) / 2, norm.weight.grad)
    expected = norm(torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 1, 1))
    torch.testing.assert_close(torch.cat([p[4] for p in parts]), expected.detach())


def _train_toy(rank: int, folder: Path, cfg: Config, sigterm_at: int) -> None:
    _join(rank, folder)
    cfg.launcher = 'pytorch'
    cfg.model.sigterm_at = sigterm_at if rank == 1 else -1
    try:
        train(cfg)
    except FloatingPointError as error:
        (folder / f'{rank}.txt').write_text(str(error))
        sys.exit(1)


@two_cpu_processes
def test_sigterm_to_one_process_stops_all_at_the_same_iteration(tmp_path: Path):
    cfg = toy_config(tmp_path / 'run', 20)
    cfg.default_hooks.checkpoint.interval = 100
    codes = _fork(_train_toy, tmp_path, cfg, 3)
    assert codes == [STOPPED_EXIT_CODE] * 2
    checkpoint = last_checkpoint(tmp_path / 'run')
    assert checkpoint['meta']['iter'] == 3
    assert checkpoint['meta']['data_order']['position'] == 3 * 2 * 2


@two_cpu_processes
def test_a_broken_sample_of_one_process_stops_all(tmp_path: Path):
    cfg = toy_config(tmp_path / 'run', 20)
    sampler = ResumableInfiniteSampler(range(7), seed=cfg.randomness.seed)
    broken = int(list(itertools.islice(sampler, 6))[5])  # iteration 2, process 1
    cfg.train_dataloader.dataset.broken = broken
    assert _fork(_train_toy, tmp_path, cfg, -1) == [1, 1]
    for rank in (0, 1):
        message = (tmp_path / f'{rank}.txt').read_text()
        assert 'iteration 2' in message and f"'room_{broken}'" in message
    checkpoint = last_checkpoint(tmp_path / 'run')
    assert checkpoint['meta']['iter'] == 1
    assert all(v.isfinite().all() for v in checkpoint['state_dict'].values())
