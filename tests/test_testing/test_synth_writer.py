"""Datasets on disk: layout, orientation, equal bytes, resuming."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmp3d.fileio import read_exr, read_image, read_index, read_npz
from mmp3d.structures import FrustumGrid
from mmp3d.testing.synth_rooms import (
    SynthRoomsSpec,
    generate_sample,
    make_dataset,
    sample_files,
)
from mmp3d.testing.synth_rooms.generator import visible_frustum

REPOSITORY = Path(__file__).resolve().parents[2]
GRID = FrustumGrid(dims=(32, 32, 32), voxel_size=0.24)
SPEC = SynthRoomsSpec(seed=2, grid=GRID)
COUNTS = {'train': 1, 'val': 1, 'test': 0}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('synthrooms')
    assert len(list(make_dataset(folder, SPEC, COUNTS))) == 2
    return folder


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


def test_the_layout_is_that_of_3d_front(root):
    assert {
        'data/synth-train-000000/rgb_0000.png',
        'data/synth-train-000000/depth_0000.exr',
        'data/synth-train-000000/segmap_0000.mapped.npz',
        'data/synth-train-000000/geometry_0000.npz',
        'data/synth-train-000000/segmentation_0000.mapped.npz',
        'data/synth-train-000000/weighting_0000.npz',
        'data/synth-val-000000/rgb_0000.png',
        'meta/train.json',
        'meta/val.json',
        'meta/test.json',
        'meta/colormap.json',
        'meta/frustum_mask.npz',
        'meta/synthrooms.json',
    } <= set(digests(root))


def test_files_give_back_the_sample_after_the_loaders_flip(root):
    sample = generate_sample('val', 0, SPEC)
    files = sample_files(root, 'synth-val-000000', '0000')
    np.testing.assert_array_equal(read_image(files['rgb']), sample.picture.rgb)
    np.testing.assert_array_equal(read_exr(files['depth']), sample.picture.depth)
    segmap = read_npz(files['segmap'], 'data', ndim=3, kinds='iu')
    np.testing.assert_array_equal(segmap[..., 0], sample.picture.semantic)
    np.testing.assert_array_equal(segmap[..., 1], sample.picture.instance_ids)
    geometry = read_npz(files['geometry'], 'data', ndim=3, kinds='f')[::-1, ::-1]
    np.testing.assert_allclose(geometry, sample.volumes.tudf, atol=0.004)
    labels = read_npz(files['segmentation'], 'data', ndim=4, kinds='iu')[:, ::-1, ::-1]
    np.testing.assert_array_equal(labels[0], sample.volumes.semantic)
    np.testing.assert_array_equal(labels[1], sample.volumes.instance_ids)
    weights = read_npz(files['weighting'], 'data', ndim=3, kinds='f')[::-1, ::-1]
    np.testing.assert_array_equal(weights, sample.volumes.weights)


def test_the_frustum_mask_is_stored_flipped(root):
    mask = read_npz(root / 'meta' / 'frustum_mask.npz', 'mask', ndim=3, kinds='b')
    np.testing.assert_array_equal(mask[::-1, ::-1], visible_frustum(GRID))


def test_meta_files_say_what_is_there(root):
    (record,) = read_index(root / 'meta' / 'train.json')
    assert (record.scene_id, record.image_id) == ('synth-train-000000', '0000')
    assert (record.height, record.width) == (240, 320)
    assert read_index(root / 'meta' / 'test.json') == []
    about = json.loads((root / 'meta' / 'synthrooms.json').read_text())
    assert about['seed'] == 2 and about['images'] == COUNTS
    assert about['grid']['dims'] == [32, 32, 32]
    classes = json.loads((root / 'meta' / 'colormap.json').read_text())
    assert [c['trainId'] for c in classes] == list(range(1, 13))


def test_two_processes_write_the_same_bytes(root, tmp_path):
    jobs = list(make_dataset(tmp_path, SPEC, COUNTS, workers=2))
    assert len(jobs) == 2
    assert digests(tmp_path) == digests(root)


def test_an_interrupted_run_makes_only_what_is_missing(root):
    before = digests(root)
    files = sample_files(root, 'synth-train-000000', '0000')
    files['geometry'].unlink()
    kept = sample_files(root, 'synth-val-000000', '0000')['rgb']
    time = kept.stat().st_mtime_ns
    assert len(list(make_dataset(root, SPEC, COUNTS))) == 2
    assert digests(root) == before
    assert kept.stat().st_mtime_ns == time


def test_another_spec_in_the_same_folder_is_refused(root):
    other = SynthRoomsSpec(seed=3, grid=GRID)
    with pytest.raises(ValueError, match='made with seed 2; asked for seed 3'):
        list(make_dataset(root, other, COUNTS))


def test_unknown_splits_and_negative_counts_are_refused(tmp_path):
    with pytest.raises(ValueError, match='split must be one of'):
        list(make_dataset(tmp_path, SPEC, {'trian': 1}))
    with pytest.raises(ValueError, match='number of val images'):
        list(make_dataset(tmp_path, SPEC, {'val': -1}))


def test_an_empty_dataset_has_its_meta_files(tmp_path):
    assert list(make_dataset(tmp_path, SPEC, {})) == []
    assert read_index(tmp_path / 'meta' / 'train.json') == []


def test_the_command_line_makes_and_refuses(root):
    tool = REPOSITORY / 'tools' / 'dataset_converters' / 'make_synthrooms.py'
    command = [sys.executable, str(tool), '--out', str(root), '--grid', '32']
    command += ['--train', '1', '--val', '1', '--test', '0', '--seed']
    done = subprocess.run([*command, '2'], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '2 images' in done.stdout
    done = subprocess.run([*command, '9'], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert 'seed 9. Choose another folder' in done.stderr
