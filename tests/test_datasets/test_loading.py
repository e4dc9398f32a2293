from __future__ import annotations

import numpy as np
import pytest

from mmp3d.datasets import Front3DDataset
from mmp3d.datasets.transforms import (
    LoadDepthMap,
    LoadFrustumMask,
    LoadPanopticMaps,
    LoadReconstructionImage,
    LoadVolumes,
)
from mmp3d.datasets.transforms.loading import resize_nearest
from mmp3d.fileio import (
    CorruptFileError,
    read_npz,
    write_exr,
    write_image,
    write_npz,
)
from mmp3d.geometry import frustum_mask

DIMS = (16, 8, 24)


@pytest.fixture
def results(tiny_root, grid) -> dict:
    """What the dataset gives to the first transform."""
    dataset = Front3DDataset(str(tiny_root), 'meta/train.json', grid=grid)
    return dataset.get_data_info(0)


def test_an_image_of_another_size_is_refused(results):
    write_image(results['files'].image, np.zeros((24, 30, 3), np.uint8))
    with pytest.raises(
        CorruptFileError, match=r'expected 24 x 32 pixels .* got 24 x 30'
    ):
        LoadReconstructionImage().transform(results)


def test_depth_out_of_range_becomes_unknown(results):
    depth = np.full((24, 32), 2, np.float32)
    depth[0, :3] = 0.1, 0.4, 6.5
    write_exr(results['files'].depth, depth)
    loaded = LoadDepthMap(valid_range=(0.4, 6.0)).transform(results)['gt_depth_map']
    np.testing.assert_array_equal(loaded[0, :4], np.float32([0, 0.4, 0, 2]))


@pytest.mark.parametrize('value', [-1, np.nan, np.inf])
def test_impossible_depths_are_refused(results, value):
    depth = np.ones((24, 32), np.float32)
    depth[3, 4] = value
    write_exr(results['files'].depth, depth)
    with pytest.raises(CorruptFileError, match='finite metres'):
        LoadDepthMap().transform(results)


def test_depth_of_another_size_is_refused(results):
    write_exr(results['files'].depth, np.ones((32, 24), np.float32))
    with pytest.raises(CorruptFileError, match='expected 24 x 32 pixels'):
        LoadDepthMap().transform(results)


@pytest.mark.parametrize(
    ('maps', 'words'),
    [
        (np.zeros((24, 32, 1), np.int16), 'expected class and instance channels'),
        (np.zeros((24, 30, 2), np.int16), r'must have the shape \(24, 32, None\)'),
        (np.zeros((24, 32, 2), np.float32), 'must be int or unsigned int'),
        (np.full((24, 32, 2), 13, np.int16), 'unknown class id 13'),
        (np.full((24, 32, 2), -1, np.int16), 'unknown class id -1'),
        (np.stack([np.zeros((24, 32), int), np.full((24, 32), -3)], -1), 'instance'),
    ],
)
def test_wrong_panoptic_maps_are_refused(results, maps, words):
    write_npz(results['files'].panoptic, data=maps)
    with pytest.raises(CorruptFileError, match=words):
        LoadPanopticMaps().transform(results)


def test_a_wrong_key_is_named(results):
    write_npz(results['files'].panoptic, labels=np.zeros((24, 32, 2), np.int16))
    with pytest.raises(CorruptFileError, match=r"the file has \['labels'\]"):
        LoadPanopticMaps().transform(results)


def test_more_channels_are_tolerated(results):
    write_npz(results['files'].panoptic, data=np.full((24, 32, 3), 4, np.uint8))
    loaded = LoadPanopticMaps().transform(results)
    assert loaded['gt_semantic_map'].dtype == np.int32
    assert (loaded['gt_instance_map'] == 4).all()


def test_volumes_are_turned_truncated_and_unsigned(results):
    loaded = LoadVolumes().transform(results)
    stored = read_npz(results['files'].geometry, 'data').astype(np.float32)
    expected = np.minimum(abs(stored[::-1, ::-1]), 12)
    np.testing.assert_array_equal(loaded['gt_tudf'], expected)
    unturned = LoadVolumes(('geometry',), stored_flipped=False).transform(results)
    np.testing.assert_array_equal(unturned['gt_tudf'][::-1, ::-1], expected)


def test_only_the_volumes_asked_for_are_read(results):
    results['files'].segmentation.unlink()
    results['files'].weighting.unlink()
    loaded = LoadVolumes(('geometry',)).transform(results)
    assert 'gt_semantic_volume' not in loaded
    with pytest.raises(ValueError, match="got 'weigthing', did you mean 'weighting'"):
        LoadVolumes(('weigthing',))


def test_channels_may_come_last(results):
    path = results['files'].segmentation
    before = LoadVolumes(('segmentation',)).transform(dict(results))
    write_npz(path, data=np.moveaxis(read_npz(path, 'data'), 0, -1))
    after = LoadVolumes(('segmentation',)).transform(dict(results))
    for key in ('gt_semantic_volume', 'gt_instance_volume'):
        np.testing.assert_array_equal(after[key], before[key])


@pytest.mark.parametrize(
    ('name', 'array', 'words'),
    [
        ('geometry', np.zeros((16, 8, 16)), r'shape \(16, 8, 24\), got \(16, 8, 16\)'),
        ('geometry', np.full(DIMS, np.nan), 'must be numbers, got NaN'),
        ('geometry', np.zeros(DIMS, bool), 'must be int or unsigned int or float'),
        ('segmentation', np.zeros((3, *DIMS), np.uint8), r'shape \(2, \*'),
        ('segmentation', np.full((2, *DIMS), 77, np.uint8), 'skip_file of the dataset'),
        ('weighting', np.full(DIMS, -1.0), 'finite and not negative'),
        ('weighting', np.full(DIMS, np.nan), 'finite and not negative'),
        ('weighting', np.full(DIMS, np.inf), 'finite and not negative'),
    ],
)
def test_wrong_volumes_are_refused(results, name, array, words):
    write_npz(results['files'].named()[name], data=array)
    with pytest.raises(CorruptFileError, match=words):
        LoadVolumes((name,)).transform(results)


def test_a_truncated_volume_is_named(results):
    path = results['files'].geometry
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CorruptFileError, match=r'geometry_0000\.npz'):
        LoadVolumes(('geometry',)).transform(results)


def test_the_frustum_mask_is_computed_without_a_file(results):
    results['img_shape'] = (24, 32)
    loaded = LoadFrustumMask().transform(results)['frustum_mask']
    expected = frustum_mask(results['K'], (24, 32), results['grid']).numpy()
    assert expected.any()
    np.testing.assert_array_equal(loaded, expected)


def test_the_frustum_mask_of_a_file_is_turned(tiny_root, grid):
    stored = np.random.rand(*DIMS) > 0.5
    write_npz(tiny_root / 'meta' / 'mask.npz', mask=stored)
    dataset = Front3DDataset(
        str(tiny_root),
        'meta/train.json',
        grid=grid,
        frustum_mask_file='meta/mask.npz',
    )
    info = dataset.get_data_info(0)
    np.testing.assert_array_equal(
        LoadFrustumMask().transform(dict(info))['frustum_mask'], stored[::-1, ::-1]
    )
    np.testing.assert_array_equal(
        LoadFrustumMask(stored_flipped=False).transform(info)['frustum_mask'], stored
    )


def test_nearest_resize_takes_the_floor():
    ramp = np.arange(12).reshape(2, 6)
    assert resize_nearest(ramp.astype(np.int32), (1, 3)).tolist() == [[0, 2, 4]]
    assert resize_nearest(ramp.astype(np.int32), (2, 9))[0].tolist() == [
        0, 0, 1, 2, 2, 3, 4, 4, 5
    ]  # fmt: skip
    assert resize_nearest(ramp, (2, 6)) is ramp
