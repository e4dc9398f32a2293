from __future__ import annotations

import numpy as np
import pytest
from mmengine.logging import MMLogger

from mmp3d.datasets import Front3DDataset
from mmp3d.datasets.transforms import LoadVolumes
from mmp3d.fileio import CorruptFileError, cache_path, read_npz, write_npz
from tools.dataset_converters import cache_volumes

KEYS = ('gt_tudf', 'gt_semantic_volume', 'gt_instance_volume', 'gt_weights')


@pytest.fixture
def results(tiny_root, grid) -> dict:
    dataset = Front3DDataset(str(tiny_root), 'meta/train.json', grid=grid)
    return dataset.get_data_info(0)


@pytest.mark.parametrize('flipped', [True, False])
def test_copies_load_the_same_volumes(results, tmp_path, flipped):
    path = results['files'].weighting
    write_npz(path, data=np.where(np.arange(24) > 20, 2, 1) * np.ones((16, 8, 24)))
    plain = LoadVolumes(stored_flipped=flipped).transform(dict(results))
    loader = LoadVolumes(stored_flipped=flipped, cache_dir=str(tmp_path / 'cache'))
    for _ in range(2):  # made, used
        cached = loader.transform(dict(results))
        for key in KEYS:
            assert cached[key].dtype == plain[key].dtype
            np.testing.assert_array_equal(cached[key], plain[key])


def test_channels_may_come_last_in_a_copied_file(results, tmp_path):
    path = results['files'].segmentation
    plain = LoadVolumes(('segmentation',)).transform(dict(results))
    write_npz(path, data=np.moveaxis(read_npz(path, 'data'), 0, -1))
    loader = LoadVolumes(('segmentation',), cache_dir=str(tmp_path))
    cached = loader.transform(dict(results))
    for key in KEYS[1:3]:
        np.testing.assert_array_equal(cached[key], plain[key])


@pytest.mark.parametrize(
    ('name', 'array', 'words'),
    [
        ('geometry', np.zeros((16, 8, 16)), r'shape \(16, 8, 24\)'),
        ('geometry', np.full((16, 8, 24), np.nan), 'must be numbers, got NaN'),
        ('segmentation', np.full((2, 16, 8, 24), 77), 'unknown class id 77'),
        ('segmentation', np.zeros((3, 16, 8, 24), np.uint8), r'shape \(2, \*'),
        ('weighting', np.full((16, 8, 24), -1.0), 'finite and not negative'),
        ('weighting', np.zeros((16, 8, 24), bool), 'must be int'),
    ],
)
def test_wrong_volumes_are_refused_by_copies_too(results, tmp_path, name, array, words):
    write_npz(results['files'].named()[name], data=array)
    with pytest.raises(CorruptFileError, match=words):
        LoadVolumes((name,), cache_dir=str(tmp_path)).transform(results)


def test_a_damaged_copy_is_reported_and_replaced(results, tmp_path, monkeypatch):
    loader = LoadVolumes(('geometry',), cache_dir=str(tmp_path))
    first = loader.transform(dict(results))
    path = cache_path(tmp_path, results['files'].geometry)
    path.write_bytes(path.read_bytes()[:-5])
    said = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'warning', said.append)
    second = loader.transform(dict(results))
    np.testing.assert_array_equal(second['gt_tudf'], first['gt_tudf'])
    assert len(said) == 1
    assert str(path) in said[0]


def test_the_tool_copies_a_folder(tiny_root, capsys):
    assert cache_volumes.main([str(tiny_root)]) == 0
    assert '6 files: 6 made' in capsys.readouterr().out
    folder = tiny_root / 'data' / 'room'
    copy = cache_path(tiny_root / 'cache', folder / 'geometry_0000.npz')
    copy.write_bytes(b'damaged')
    write_npz(folder / 'weighting_0001.npz', data=np.zeros((16, 8, 24)))
    (folder / 'geometry_0001.npz').unlink()
    assert cache_volumes.main([str(tiny_root), '--verify']) == 1
    out = capsys.readouterr().out
    assert '1 failed, 1 renewed, 1 repaired, 3 used' in out
    assert 'geometry_0001.npz: expected a file' in out


def test_the_tool_needs_a_dataset(tmp_path, capsys):
    assert cache_volumes.main([str(tmp_path / 'nowhere')]) == 2
    assert 'does not exist' in capsys.readouterr().err
