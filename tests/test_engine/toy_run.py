"""A run of a toy model through the real runner and the hooks of every config."""

from __future__ import annotations

import math
import os
import signal
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn import functional as F

from mmp3d.datasets import SeededIndex
from mmp3d.registry import DATASETS, MODELS
from mmp3d.structures import PanopticReconstructionSample
from mmp3d.utils import seeded

ROOT = Path(__file__).resolve().parents[2]


@DATASETS.register_module()
class ToyDataset:
    """Seven samples of three numbers each, with random noise.

    Args:
        broken: Index of a sample whose numbers are NaN.
    """

    def __init__(self, broken: int = -1) -> None:
        self.broken = broken

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: SeededIndex) -> dict:
        with seeded(index.seed):
            noise = np.random.rand(3) + torch.rand(3).numpy()
        values = torch.tensor(noise, dtype=torch.float32) + int(index)
        if index == self.broken:
            values[1] = math.nan
        meta = dict(sample_id=f'room_{int(index)}', seed=index.seed)
        return dict(
            inputs=values, data_samples=PanopticReconstructionSample(metainfo=meta)
        )


@MODELS.register_module()
class ToyDetector(BaseModel):
    """A linear layer with dropout.

    Args:
        sigterm_at: Iteration in which somebody sends SIGTERM.
    """

    def __init__(self, sigterm_at: int = -1) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)
        self.sigterm_at = sigterm_at
        self.calls = 0
        self.seen: list[str] = []
        self.dtypes: set[torch.dtype] = set()

    def forward(
        self, inputs: list[Tensor], data_samples: list, mode: str
    ) -> dict[str, Tensor]:
        self.calls += 1
        if self.calls == self.sigterm_at:
            os.kill(os.getpid(), signal.SIGTERM)
        self.seen += [sample.sample_id for sample in data_samples]
        raw = self.linear(torch.stack(inputs))
        self.dtypes.add(raw.dtype)
        out = F.dropout(self.norm(raw.float()), 0.3, self.training)
        return dict(loss_fit=(out - 1).square().mean(), loss_size=out.abs().mean())


def toy_config(work_dir: Path, max_iters: int) -> Config:
    """Give the config of a toy run with the repository's default hooks."""
    path = ROOT / 'configs/_base_/default_runtime.py'
    cfg = Config.fromfile(path, format_python_code=False)  # takes long
    cfg.custom_hooks = []
    cfg.model = dict(type='ToyDetector')
    cfg.train_dataloader = dict(
        batch_size=2,
        num_workers=0,
        sampler=dict(type='ResumableInfiniteSampler', shuffle=True),
        dataset=dict(type='ToyDataset'),
    )
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters)
    cfg.optim_wrapper = dict(
        type='OptimWrapper',
        optimizer=dict(type='AdamW', lr=0.01, weight_decay=0.05),
        clip_grad=dict(max_norm=1.0),
    )
    cfg.param_scheduler = [dict(type='PolyLR', power=0.9, end=41, by_epoch=False)]
    cfg.default_hooks.checkpoint.update(interval=1, max_keep_ckpts=2)
    cfg.default_hooks.logger.interval = 100
    cfg.log_level = 'WARNING'
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = f'{work_dir.parent.name}_{work_dir.name}'
    return cfg


def train(cfg: Config) -> Runner:
    """Run it."""
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def last_checkpoint(work_dir: Path) -> dict:
    """Load what ``last_checkpoint`` names."""
    path = (Path(work_dir) / 'last_checkpoint').read_text()
    return torch.load(path, weights_only=True)
