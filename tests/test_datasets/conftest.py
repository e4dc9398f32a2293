"""Datasets of two tiny images, in the layouts of 3D-Front and Matterport3D."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmp3d.fileio import (
    IndexRecord,
    write_exr,
    write_gray16,
    write_image,
    write_index,
    write_npy,
    write_npz,
)

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


@pytest.fixture
def matterport_root(tmp_path) -> Path:
    """Two images in the Matterport3D layout, with a camera each."""
    root = tmp_path / 'matterport'
    ids = ('ab12_1_4', 'ab12_2_0')
    records = [IndexRecord('scene', name, *SIZE) for name in ids]
    write_index(root / 'meta' / 'train.json', records)
    rng = np.random.default_rng(0)
    for i, name in enumerate(ids):
        angle, rotation = name.split('_')[1:]
        view = f'{angle}_{rotation}'
        folder = root / 'data' / 'scene'
        pixels = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        write_image(folder / f'ab12_i{view}.jpg', pixels)
        maps = np.zeros((*SIZE, 2), np.int16)
        maps[:6, :, 0], maps[18:, :, 0] = 10, 12
        maps[8:16, 4:12] = 2, 5
        write_npz(folder / f'ab12_segmap{view}.mapped.npz', data=maps)
        K = np.eye(4, dtype=np.float32)
        K[0, 0], K[1, 1], K[0, 2], K[1, 2] = 250 + i, 260, 159.5, 119.5
        write_npy(folder / f'ab12_intrinsics_{angle}.npy', K.reshape(-1))
        distance = rng.uniform(-15, 15, DIMS).astype(np.float16)
        outside = rng.random(DIMS) < 0.5
        write_npz(folder / f'ab12_geometry{view}.npz', data=distance, mask=outside)
        labels = np.zeros((2, *DIMS), np.uint8)
        labels[:, 3, 2, 9], labels[0, :, 7] = (2, 5), 12
        write_npz(folder / f'ab12_segmentation{view}.mapped.npz', data=labels)
        write_npz(folder / f'ab12_weighting{view}.npz', data=np.ones(DIMS))
        units = np.full(SIZE, 8000, np.uint16)
        units[0, :4] = 1599, 1600, 24000, 24001
        write_gray16(root / 'depth_gen' / 'scene' / f'ab12_d{view}.png', units)
        room = np.zeros(SIZE, np.uint8)
        room[1::2, 1::4] = 7
        path = root / 'room_mask' / 'scene' / f'ab12_rm{view}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(room).save(path)
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
