"""Images in which nothing is labelled: trained, validated and tested like others."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmp3d.fileio import read_npz, write_npz


@pytest.fixture(scope='module')
def blank_rooms(rooms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rooms with void in every pixel and free space in every voxel."""
    root = tmp_path_factory.mktemp('blank') / 'rooms'
    shutil.copytree(rooms, root)
    for pattern in ('segmap', 'segmentation'):
        for path in root.glob(f'data/*/{pattern}_*.npz'):
            write_npz(path, data=np.zeros_like(read_npz(path, 'data')))
    return root


@pytest.mark.parametrize('stage', [1, 2])
def test_void_images_train_and_are_measured(
    stage: int,
    blank_rooms: Path,
    trained: dict[int, Path],
    tiny_config: Callable[[int, Path], Config],
    tmp_path: Path,
):
    cfg = tiny_config(stage, tmp_path / f'blank{stage}')
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset.data_root = str(blank_rooms)
    cfg.train_cfg.update(max_iters=1, val_interval=1)
    cfg.load_from = str(trained[stage])
    runner = Runner.from_cfg(cfg)
    runner.train()
    hub = runner.message_hub
    assert np.isfinite(hub.get_scalar('train/loss').current())
    assert hub.get_scalar('val/image/PQ').current() == 0
    assert np.isfinite(hub.get_scalar('val/depth/abs_rel').current())
    if stage == 2:
        assert hub.get_scalar('val/reconstruction/PRQ').current() == 0
