from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from mmp3d.datasets import Front3DDataset
from mmp3d.fileio import (
    CorruptFileError,
    IndexRecord,
    read_index,
    write_index,
    write_json,
)
from mmp3d.registry import DATASETS
from mmp3d.structures import FRONT3D

PIPELINE = [
    {'type': 'LoadReconstructionImage'},
    {'type': 'LoadDepthMap'},
    {'type': 'LoadPanopticMaps'},
    {'type': 'LoadVolumes'},
    {'type': 'LoadFrustumMask'},
    {'type': 'MakePlaneDepth', 'plane_size': (12, 16)},
    {'type': 'MakeInstanceTargets', 'min_instance_pixels': 10},
    {'type': 'PackReconstructionInputs'},
]


def _build(root, grid, **changes) -> Front3DDataset:
    settings = {'ann_file': 'meta/train.json', 'grid': grid, 'pipeline': PIPELINE}
    return DATASETS.build(
        {'type': 'Front3DDataset', 'data_root': str(root), **settings, **changes}
    )


def test_a_sample_carries_everything(tiny_root, grid):
    dataset = _build(tiny_root, grid)
    assert len(dataset) == 2
    packed = dataset[1]
    inputs, sample = packed['inputs'], packed['data_samples']
    assert inputs['img'].shape == (3, 24, 32)
    assert inputs['img'].dtype == torch.uint8
    assert inputs['K'].shape == (3, 3)
    assert inputs['K'].dtype == torch.float64
    assert inputs['frustum_mask'].shape == (16, 8, 24)
    assert sample.sample_id == 'room_0001'
    assert sample.ori_shape == sample.img_shape == (24, 32)
    assert sample.grid.dims == (16, 8, 24)
    assert sample.label_space == FRONT3D
    assert sample.loss_weight == 1.0
    assert sample.gt_instances.labels.tolist() == [2, 10, 11]  # the lamp is too small
    assert sample.gt_instances.instance_ids.tolist() == [5, 0, 0]
    assert sample.gt_instances.masks.sum(dim=(1, 2)).tolist() == [64, 192, 192]
    assert sample.gt_depth_map.depth.shape == (1, 24, 32)
    assert sample.gt_plane_depth.depth.shape == (1, 12, 16)
    assert sample.gt_panoptic_seg.semantic.shape == (1, 24, 32)
    volume = sample.gt_volume
    assert volume.tudf.dtype == volume.weights.dtype == torch.float32
    assert volume.semantic.dtype == torch.uint8
    assert volume.instance_ids.dtype == torch.int32
    assert volume.tudf.min() >= 0
    assert volume.tudf.max() == 12
    assert volume.semantic[12, 5, 9] == 2  # stored at (3, 2, 9), turned
    assert volume.instance_ids[12, 5, 9] == 5


def test_the_camera_belongs_to_the_size_of_the_files(tiny_root, grid):
    K = _build(tiny_root, grid)[0]['data_samples'].K
    # The published camera, 320 -> 32 columns; the principal point stays the centre.
    np.testing.assert_allclose(
        K, [[27.71281435, 0, 15.5], [0, 27.71281435, 11.5], [0, 0, 1]]
    )


def test_the_target_size_scales_the_camera_and_all_maps(tiny_root, grid):
    sample = _build(tiny_root, grid, target_size=(12, 32))[0]['data_samples']
    assert sample.img_shape == (12, 32)
    np.testing.assert_allclose(sample.K[0], [27.71281435, 0, 15.5])
    np.testing.assert_allclose(sample.K[1], [0, 27.71281435 / 2, 5.75])
    assert sample.gt_depth_map.depth.shape == (1, 12, 32)
    assert sample.gt_instances.masks.shape == (3, 12, 32)


def test_a_2d_sample_has_no_volume(tiny_root, grid):
    pipeline = [*PIPELINE[:-1], {'type': 'PackReconstructionInputs', 'with_3d': False}]
    packed = _build(tiny_root, grid, pipeline=pipeline)[0]
    assert 'gt_volume' not in packed['data_samples']
    assert 'frustum_mask' not in packed['inputs']


def test_meta_information_is_plain(tiny_root, grid):
    metainfo = _build(tiny_root, grid).metainfo
    assert metainfo['classes'][1] == 'cabinet'
    assert metainfo['palette'][1] == (220, 20, 60)
    assert metainfo['thing_classes'][-1] == 'other'
    assert metainfo['stuff_classes'] == ['wall', 'floor', 'ceiling']
    assert metainfo['grid']['dims'] == (16, 8, 24)
    pickled = pickle.dumps(metainfo)
    assert b'mmp3d' not in pickled


def test_workers_give_what_the_main_process_gives(tiny_root, grid):
    dataset = _build(tiny_root, grid)
    loader = DataLoader(dataset, batch_size=2, num_workers=1, collate_fn=pseudo_collate)
    batch = next(iter(loader))
    assert [s.sample_id for s in batch['data_samples']] == ['room_0000', 'room_0001']
    for index in range(2):
        alone = dataset[index]
        torch.testing.assert_close(
            batch['inputs']['img'][index], alone['inputs']['img']
        )
        torch.testing.assert_close(
            batch['data_samples'][index].gt_volume.tudf,
            alone['data_samples'].gt_volume.tudf,
        )


def test_errors_of_workers_keep_their_words(tiny_root, grid):
    (tiny_root / 'data' / 'room' / 'rgb_0000.png').write_bytes(b'broken')
    dataset = _build(tiny_root, grid)
    loader = DataLoader(dataset, num_workers=1, collate_fn=pseudo_collate)
    with pytest.raises(RuntimeError, match=r'rgb_0000\.png: not a readable image'):
        next(iter(loader))


def test_a_missing_folder_says_how_to_get_the_data(tmp_path, grid):
    with pytest.raises(FileNotFoundError, match=r'make_synthrooms\.py --out'):
        _build(tmp_path / 'nowhere', grid)
    with pytest.raises(FileNotFoundError, match=r'the index .*meta/train\.json does'):
        _build(tmp_path, grid)
    lazy = _build(tmp_path / 'nowhere', grid, lazy_init=True)
    with pytest.raises(FileNotFoundError, match='Expected below data_root'):
        lazy.full_init()


def test_samples_are_skipped_by_list_only(tiny_root, grid):
    write_json(tiny_root / 'meta' / 'skip.json', ['room_0000'])
    dataset = _build(tiny_root, grid, skip_file='meta/skip.json')
    assert [dataset[i]['data_samples'].sample_id for i in range(len(dataset))] == [
        'room_0001'
    ]
    write_json(tiny_root / 'meta' / 'skip.json', ['room_0007'])
    with pytest.raises(CorruptFileError, match="unknown sample id 'room_0007', did"):
        _build(tiny_root, grid, skip_file='meta/skip.json')
    write_json(tiny_root / 'meta' / 'skip.json', {'room_0000': 1})
    with pytest.raises(CorruptFileError, match='a JSON list of sample ids'):
        _build(tiny_root, grid, skip_file='meta/skip.json')
    write_json(tiny_root / 'meta' / 'skip.json', ['room_0000', 'room_0001'])
    with pytest.raises(CorruptFileError, match='leaves no sample'):
        _build(tiny_root, grid, skip_file='meta/skip.json')


def test_a_subset_can_be_asked_for(tiny_root, grid):
    assert len(_build(tiny_root, grid, indices=1)) == 1


def test_another_image_file_is_used_if_the_index_names_one(tiny_root, grid):
    record = IndexRecord('room', '0000', 24, 32, 'data/room/rgb_0001.png')
    write_index(tiny_root / 'meta' / 'train.json', [record])
    packed = _build(tiny_root, grid)[0]
    assert packed['data_samples'].img_path.endswith('rgb_0001.png')


def test_a_file_name_may_not_leave_the_root(tiny_root, grid):
    record = IndexRecord('room', '0000', 24, 32, '../../secret.png')
    write_index(tiny_root / 'meta' / 'train.json', [record])
    with pytest.raises(ValueError, match='stay inside'):
        _build(tiny_root, grid)[0]


def test_records_that_leave_the_root_are_refused(tiny_root, grid):
    records = [{'scene_id': '..', 'image_id': '0', 'height': 24, 'width': 32}]
    write_json(tiny_root / 'meta' / 'train.json', records)
    with pytest.raises(CorruptFileError, match='must be a plain name'):
        _build(tiny_root, grid)


def test_unknown_label_spaces_are_refused(tiny_root, grid):
    with pytest.raises(KeyError, match='did you mean'):
        _build(tiny_root, grid, label_space='front3')


def test_the_index_stays_as_it_was(tiny_root, grid):
    before = read_index(tiny_root / 'meta' / 'train.json')
    _build(tiny_root, grid)
    assert read_index(tiny_root / 'meta' / 'train.json') == before
