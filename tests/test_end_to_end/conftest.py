"""Two small rooms on disk and both stages trained on them, made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmp3d.structures import FrustumGrid
from mmp3d.testing.synth_rooms import SynthRoomsSpec, make_dataset

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs' / 'nvpanoptix3d'
GRID = dict(dims=(64, 64, 64), voxel_size=0.12)


@pytest.fixture(scope='session')
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SynthRooms folder: two images to train on, one to validate, one to test."""
    root = tmp_path_factory.mktemp('rooms')
    spec = SynthRoomsSpec(seed=3, grid=FrustumGrid(**GRID))
    list(make_dataset(root, spec, {'train': 2, 'val': 1, 'test': 1}, workers=1))
    return root


@pytest.fixture(scope='session')
def tiny_config(rooms: Path) -> Callable[[int, Path], Config]:
    """Gives the repository's tiny config of a stage, on those rooms, two iterations."""

    def make(stage: int, work_dir: Path) -> Config:
        path = CONFIGS / f'nvpanoptix3d_tiny_stage{stage}_synthrooms.py'
        cfg = Config.fromfile(path, format_python_code=False)  # takes long
        for split in ('train', 'val', 'test'):
            loader = cfg[f'{split}_dataloader']
            loader.num_workers = 0
            loader.persistent_workers = False
            loader.batch_size = 2 if split == 'train' else 1
            loader.dataset.data_root = str(rooms)
            loader.dataset.grid.merge(Config(GRID)._cfg_dict)
        cfg.train_cfg.update(max_iters=2, val_interval=2)
        cfg.param_scheduler = [dict(type='ConstantLR', factor=1.0, by_epoch=False)]
        cfg.default_hooks.checkpoint.interval = 2
        cfg.default_hooks.logger.interval = 1
        cfg.randomness.deterministic = True
        cfg.work_dir = str(work_dir)
        cfg.experiment_name = f'{work_dir.parent.name}_{work_dir.name}'
        cfg.load_from = None
        return cfg

    return make


@pytest.fixture(scope='session')
def trained(
    tiny_config: Callable[[int, Path], Config],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[int, Path]:
    """Checkpoints of both stages after two iterations, stage 2 from stage 1."""
    folder = tmp_path_factory.mktemp('trained')
    checkpoints = {}
    for stage in (1, 2):
        cfg = tiny_config(stage, folder / f'stage{stage}')
        if stage == 2:
            cfg.load_from = str(checkpoints[1])
        Runner.from_cfg(cfg).train()
        checkpoints[stage] = Path(cfg.work_dir) / 'iter_2.pth'
    return checkpoints
