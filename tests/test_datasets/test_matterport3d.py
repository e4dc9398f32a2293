from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from mmp3d.datasets import FileChecks, Matterport3DDataset, dataset_type
from mmp3d.datasets.matterport3d import MatterportImage
from mmp3d.evaluation import PanopticReconstructionQuality
from mmp3d.evaluation.functional import volume_ground_truth
from mmp3d.fileio import (
    CorruptFileError,
    IndexRecord,
    read_npz,
    write_gray16,
    write_index,
    write_npy,
    write_npz,
)
from mmp3d.structures import (
    MATTERPORT3D,
    PanopticSegmentation,
    Segment,
    VolumeData,
)

SIZE, DIMS = (24, 32), (16, 8, 24)
PIPELINE = [
    {'type': 'LoadReconstructionImage'},
    {'type': 'LoadDepthMap', 'valid_range': (0.4, 6.0)},
    {'type': 'LoadPanopticMaps'},
    {'type': 'LoadVolumes', 'stored_flipped': False},
    {'type': 'LoadFrustumMask', 'stored_flipped': False, 'stored_inverted': True},
    {'type': 'LoadRoomMask'},
    {'type': 'MakePlaneRoomMask', 'plane_size': (12, 16)},
    {'type': 'MakePlaneDepth', 'plane_size': (12, 16)},
    {'type': 'MakeInstanceTargets', 'min_instance_pixels': 10},
    {'type': 'PackReconstructionInputs'},
]


@pytest.fixture
def root(matterport_root: Path) -> Path:
    return matterport_root


def _build(root: Path, grid: dict, **changes) -> Matterport3DDataset:
    settings = {'ann_file': 'meta/train.json', 'pipeline': PIPELINE, **changes}
    return Matterport3DDataset(
        str(root), grid=grid, label_space='matterport3d', **settings
    )


def test_a_sample_carries_everything(root, grid):
    packed = _build(root, grid)[1]
    inputs, sample = packed['inputs'], packed['data_samples']
    assert sample.sample_id == 'scene_ab12_2_0'
    np.testing.assert_allclose(sample.K, [[25.1, 0, 15.5], [0, 26, 11.5], [0, 0, 1]])
    depth = sample.gt_depth_map.depth[0]
    assert depth[0, :5].tolist() == [0, np.float32(0.4), 6, 0, 2]
    stored = root / 'data/scene/ab12_geometry2_0.npz'
    distance = torch.from_numpy(read_npz(stored, 'data').astype(np.float32))
    torch.testing.assert_close(sample.gt_volume.tudf, distance.abs().clamp(max=12))
    inside = ~torch.from_numpy(read_npz(stored, 'mask'))
    assert torch.equal(inputs['frustum_mask'], inside)
    assert torch.equal(sample.gt_volume.frustum_mask, inside)
    assert sample.gt_volume.semantic[3, 2, 9] == 2  # nothing is turned
    assert sample.gt_instances.labels.tolist() == [2, 10, 12]  # ceiling is a target
    # PIL takes the odd pixels: all rows of the plane, every other column.
    assert inputs['room_mask'].tolist() == [[True, False] * 8] * 12


def test_the_room_is_known_to_stage_1_only(root, grid):
    assert 'room_map' not in _build(root, grid)[0]['data_samples']
    steps = [PIPELINE[0], {'type': 'LoadRoomMask'}]
    steps += [{'type': 'PackReconstructionInputs', 'with_3d': False}]
    packed = _build(root, grid, pipeline=steps)[0]
    assert packed['data_samples'].room_map.mask.shape == (1, *SIZE)
    assert packed['data_samples'].room_map.mask[0, 1].tolist() == [0, 1, 0, 0] * 8
    assert 'room_mask' not in packed['inputs']


def test_the_index_of_uni3d_is_read(root, grid):
    (root / 'meta' / 'train.json').rename(root / 'meta' / 'train_3d.json')
    assert len(_build(root, grid)) == 2
    assert len(_build(root, grid, ann_file='meta/train_3d.json')) == 2
    (root / 'meta' / 'train_3d.json').rename(root / 'meta' / 'train.json')
    assert len(_build(root, grid, ann_file='meta/train_3d.json')) == 2


@pytest.mark.parametrize('name', ['ab12_1', 'ab_12_1_4', 'ab12__4', '0008'])
def test_image_ids_have_exactly_three_parts(root, grid, name):
    write_index(root / 'meta' / 'train.json', [IndexRecord('scene', name, *SIZE)])
    with pytest.raises(CorruptFileError, match='exactly three parts'):
        _build(root, grid)
    with pytest.raises(ValueError, match='exactly three parts'):
        MatterportImage.parse(name)


@pytest.mark.parametrize(
    'numbers', [np.eye(3), np.zeros(16), np.full(16, np.nan), np.ones(4)]
)
def test_wrong_cameras_are_refused(root, grid, numbers):
    path = root / 'data/scene/ab12_intrinsics_1.npy'
    write_npy(path, numbers)
    if numbers.shape == (3, 3):
        with pytest.raises(CorruptFileError, match='expected 16 numbers'):
            _build(root, grid)[0]
        return
    with pytest.raises(CorruptFileError, match=r'ab12_intrinsics_1\.npy: expected 16'):
        _build(root, grid)[0]


def test_the_checker_names_every_file(root, grid):
    checks = FileChecks(_build(root, grid, pipeline=()), PIPELINE[:6])
    assert list(checks) == [[], []]
    write_gray16(root / 'room_mask/scene/ab12_rm1_4.png', np.ones((3, 4), np.uint16))
    (root / 'depth_gen/scene/ab12_d1_4.png').unlink()
    problems = checks[0]
    assert len(problems) == 2
    assert 'expected 24 x 32 pixels' in problems[1]
    (root / 'data/scene/ab12_intrinsics_1.npy').unlink()
    assert len(checks[0]) == 1
    assert 'ab12_intrinsics_1.npy' in checks[0][0]


def test_one_mask_may_replace_the_images_own(root, grid):
    write_npz(root / 'meta' / 'mask.npz', mask=np.zeros(DIMS, bool))
    packed = _build(root, grid, frustum_mask_file='meta/mask.npz')[0]
    assert packed['inputs']['frustum_mask'].all()  # stored inverted


def test_a_missing_folder_says_how_to_get_the_data(tmp_path, grid):
    with pytest.raises(FileNotFoundError, match='--layout matterport'):
        _build(tmp_path / 'nowhere', grid)


def test_dataset_names_of_the_published_schema():
    assert dataset_type('front3d') == 'Front3DDataset'
    assert dataset_type('matterport') == 'Matterport3DDataset'
    for name in ('synthetic_hospital', 'synthetic_warehouse'):
        with pytest.raises(ValueError, match=r"supported: \['front3d', 'matterport'\]"):
            dataset_type(name)
    with pytest.raises(ValueError, match="did you mean 'matterport'"):
        dataset_type('mattersport')


def truth_as_prediction(sample) -> dict:
    """Give a sample that predicts its own ground truth."""
    volume = sample.gt_volume
    ids, labels = volume_ground_truth(
        volume.semantic.numpy(), volume.instance_ids.numpy(), sample.label_space
    )
    segments = tuple(
        Segment(id=i, label=label, is_thing=sample.label_space.is_thing(label))
        for i, label in labels.items()
    )
    sample.pred_volume = VolumeData(tudf=volume.tudf.clamp(max=3))
    sample.pred_volume_seg = PanopticSegmentation(
        torch.from_numpy(ids.astype(np.int32)), segments
    )
    return sample.to_dict()


def test_the_truth_scores_100(root, grid):
    # A wall at full depth beside a bed, all visible.
    folder = root / 'data' / 'scene'
    for view in ('1_4', '2_0'):
        labels = np.zeros((2, *DIMS), np.uint8)
        labels[0, :, :, 20], labels[:, 4:8, 2:6, 8:12] = (
            10,
            np.array([2, 5], np.uint8).reshape(2, 1, 1, 1),
        )
        distance = np.where(labels[0] > 0, -0.5, 9).astype(np.float16)
        write_npz(
            folder / f'ab12_geometry{view}.npz',
            data=distance,
            mask=np.zeros(DIMS, bool),
        )
        write_npz(folder / f'ab12_segmentation{view}.mapped.npz', data=labels)
    metric = PanopticReconstructionQuality(iso=2.0, downsample_factor=2)
    samples = [packed['data_samples'] for packed in _build(root, grid)]
    assert samples[0].label_space == MATTERPORT3D
    metric.process(None, [truth_as_prediction(sample) for sample in samples])
    scores = metric.evaluate(len(samples))
    for name in ('PRQ', 'RSQ', 'RRQ', 'PRQ_bed', 'PRQ_wall'):
        assert scores[f'reconstruction/{name}'] == pytest.approx(100)
    shutil.rmtree(root)
