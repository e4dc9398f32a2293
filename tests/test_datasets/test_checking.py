from __future__ import annotations

import shutil

import numpy as np
import pytest

from mmp3d.datasets import FileChecks, Front3DDataset
from mmp3d.datasets.checking import one_loader_per_file
from mmp3d.fileio import read_npz, write_exr, write_image, write_json, write_npz
from tools.analysis import check_data

ALL = [
    {'type': 'LoadReconstructionImage'},
    {'type': 'LoadDepthMap'},
    {'type': 'LoadPanopticMaps'},
    {'type': 'LoadVolumes'},
    {'type': 'LoadFrustumMask'},
]


def _checks(root, grid, pipeline=ALL) -> FileChecks:
    return FileChecks(Front3DDataset(str(root), 'meta/train.json', grid=grid), pipeline)


def test_good_files_have_no_problem(tiny_root, grid):
    assert list(_checks(tiny_root, grid)) == [[], []]


def test_every_bad_file_of_a_sample_is_named(tiny_root, grid):
    folder = tiny_root / 'data' / 'room'
    image = folder / 'rgb_0001.png'
    image.write_bytes(image.read_bytes()[:100])
    write_exr(folder / 'depth_0001.exr', np.full((24, 32), -1, np.float32))
    (folder / 'segmap_0001.mapped.npz').unlink()
    write_npz(folder / 'geometry_0001.npz', data=np.zeros((8, 8, 8)))
    write_npz(folder / 'segmentation_0001.mapped.npz', labels=np.zeros(3))
    write_npz(folder / 'weighting_0001.npz', data=np.zeros((16, 8, 24), bool))
    checks = _checks(tiny_root, grid)
    assert checks[0] == []
    problems = checks[1]
    assert len(problems) == 6
    for name, words in (
        ('rgb_0001.png', 'not a readable image'),
        ('depth_0001.exr', 'finite metres'),
        ('segmap_0001.mapped.npz', 'nothing is there'),
        ('geometry_0001.npz', 'must have the shape'),
        ('segmentation_0001.mapped.npz', "the file has ['labels']"),
        ('weighting_0001.npz', 'got dtype bool'),
    ):
        assert [p for p in problems if name in p and words in p], (name, problems)


def test_only_what_the_pipeline_loads_is_checked(tiny_root, grid):
    shutil.rmtree(tiny_root / 'data')
    pipeline = [{'type': 'LoadDepthMap'}, {'type': 'MakePlaneDepth'}]
    problems = _checks(tiny_root, grid, pipeline)[0]
    assert len(problems) == 1
    assert 'depth_0000.exr' in problems[0]
    with pytest.raises(ValueError, match='expected a pipeline with loading steps'):
        one_loader_per_file([{'type': 'MakePlaneDepth'}])


def test_the_tool_finds_a_good_folder_good(tiny_root, capsys):
    assert check_data.main([str(tiny_root)]) == 0
    assert 'all files good' in capsys.readouterr().out


def test_the_tool_lists_bad_files_and_says_so(tiny_root, capsys):
    folder = tiny_root / 'data' / 'room'
    volume = read_npz(folder / 'segmentation_0000.mapped.npz', 'data')
    volume[0, 0, 0, 0] = 200
    write_npz(folder / 'segmentation_0000.mapped.npz', data=volume)
    write_image(folder / 'rgb_0001.png', np.zeros((3, 4, 3), np.uint8))
    write_json(tiny_root / 'meta' / 'test.json', [{'scene_id': '../..'}])
    write_json(tiny_root / 'meta' / 'colormap.json', [{'name': 'bed', 'trainId': 37}])
    assert check_data.main([str(tiny_root), '--splits', 'train']) == 1
    assert 'unknown class id 37' in capsys.readouterr().out
    (tiny_root / 'meta' / 'colormap.json').unlink()
    assert check_data.main([str(tiny_root)]) == 1
    out = capsys.readouterr().out
    assert 'unknown class id 200' in out
    assert 'rgb_0001.png: expected 24 x 32 pixels' in out
    assert "test.json: record 0: expected the keys ['height'" in out
    assert out.count('unknown class id 200') == 1  # train and val share the file
    assert '3 bad files' in out


def _config_of(tiny_root, tmp_path, pipeline: str):
    path = tmp_path / 'config.py'
    path.write_text(
        "val_dataloader = dict(dataset=dict(type='Front3DDataset', "
        f"data_root={str(tiny_root)!r}, ann_file='meta/val.json', "
        f'grid=dict(dims=(16, 8, 24)), pipeline={pipeline}))\n'
    )
    return path


def test_the_tool_checks_a_config(tiny_root, tmp_path, capsys):
    pipeline = "[dict(type='LoadVolumes', volumes=('geometry', 'weighting'))]"
    config = _config_of(tiny_root, tmp_path, pipeline)
    (tiny_root / 'data' / 'room' / 'rgb_0000.png').unlink()
    assert check_data.main([str(config)]) == 0
    (tiny_root / 'data' / 'room' / 'weighting_0000.npz').unlink()
    assert check_data.main([str(config)]) == 1
    assert 'weighting_0000.npz: expected a file' in capsys.readouterr().out


def test_nothing_to_check_is_an_error(tiny_root, tmp_path, capsys):
    assert check_data.main([str(tmp_path / 'nowhere')]) == 2
    assert 'make_synthrooms.py' in capsys.readouterr().err
    empty = tmp_path / 'empty'
    empty.mkdir()
    assert check_data.main([str(empty)]) == 2
    config = _config_of(tiny_root, tmp_path, '[]')
    assert check_data.main([str(config), '--splits', 'train']) == 2
    assert 'no data loader to check' in capsys.readouterr().err
