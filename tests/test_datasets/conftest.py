"""A dataset of two tiny images in the 3D-Front layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmp3d.fileio import IndexRecord, write_exr, write_image, write_index, write_npz

SIZE = (24, 32)
DIMS = (16, 8, 24)


@pytest.fixture(autouse=True)
def _no_garbage_collection(monkeypatch):
    """mmengine collects garbage in each dataset it builds: half a second per test."""
    monkeypatch.setattr('mmengine.dataset.base_dataset.gc.collect', lambda: 0)


@pytest.fixture
def grid() -> dict:
    """A grid of unequal sides."""
    return {'dims': DIMS, 'voxel_size': 0.25, 'depth_range': (0.4, 6.0)}


@pytest.fixture
def tiny_root(tmp_path) -> Path:
    """Folder of a dataset with two images in each of the splits train and val."""
    root = tmp_path / 'tiny'
    records = [IndexRecord('room', f'{i:04d}', *SIZE) for i in range(2)]
    for split in ('train', 'val'):
        write_index(root / 'meta' / f'{split}.json', records)
    for record in records:
        _write_sample(root / 'data' / 'room', record.image_id)
    return root


def _write_sample(folder: Path, name: str) -> None:
    height, width = SIZE
    rng = np.random.default_rng(int(name))
    semantic = np.zeros(SIZE, np.int16)
    instances = np.zeros(SIZE, np.int16)
    semantic[:6] = 10  # a wall above
    semantic[18:] = 11  # the floor
    semantic[8:16, 4:12], instances[8:16, 4:12] = 2, 5  # a bed of 64 pixels
    semantic[8:10, 20:22], instances[8:10, 20:22] = 8, 3  # a lamp of 4 pixels
    rgb = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    write_image(folder / f'rgb_{name}.png', rgb)
    depth = rng.uniform(1, 5, SIZE).astype(np.float32)
    depth[0] = 0
    write_exr(folder / f'depth_{name}.exr', depth)
    write_npz(
        folder / f'segmap_{name}.mapped.npz', data=np.stack((semantic, instances), -1)
    )
    distance = rng.uniform(-15, 15, DIMS).astype(np.float16)
    write_npz(folder / f'geometry_{name}.npz', data=distance)
    volume = np.zeros((2, *DIMS), np.uint8)
    volume[:, 3, 2, 9] = 2, 5
    volume[0, :, 7] = 11
    write_npz(folder / f'segmentation_{name}.mapped.npz', data=volume)
    write_npz(folder / f'weighting_{name}.npz', data=np.ones(DIMS, np.float32))
