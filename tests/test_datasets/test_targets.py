from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mmp3d.datasets.transforms import (
    DistortColours,
    MakeInstanceTargets,
    MakePlaneDepth,
    PackReconstructionInputs,
)
from mmp3d.structures import FRONT3D, MATTERPORT3D, FrustumGrid


def _maps() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((10, 14), np.int32), np.zeros((10, 14), np.int32)


def _targets(semantic, instances, min_pixels=3, space=FRONT3D) -> dict:
    results = {
        'gt_semantic_map': semantic,
        'gt_instance_map': instances,
        'label_space': space,
    }
    return MakeInstanceTargets(min_pixels).transform(results)


def test_halving_takes_the_odd_pixels():
    depth = np.arange(48, dtype=np.float32).reshape(6, 8)
    plane = MakePlaneDepth((3, 4)).transform({'gt_depth_map': depth})
    np.testing.assert_array_equal(plane['gt_plane_depth'], depth[1::2, 1::2])


def test_instances_take_the_majority_class_and_are_sorted():
    semantic, instances = _maps()
    instances[0, :5] = 9
    semantic[0, :5] = 3, 3, 3, 4, 0
    instances[2, :4] = 4
    semantic[2, :4] = 7
    semantic[9] = 11
    semantic[8] = 10
    targets = _targets(semantic, instances)
    assert targets['gt_labels'].tolist() == [7, 3, 10, 11]
    assert targets['gt_instance_ids'].tolist() == [4, 9, 0, 0]
    assert targets['gt_masks'].sum(axis=(1, 2)).tolist() == [4, 5, 14, 14]
    assert targets['gt_labels'].dtype == targets['gt_instance_ids'].dtype == np.int64


def test_small_void_and_stuff_instances_are_left_out():
    semantic, instances = _maps()
    semantic[0, :3], instances[0, :3] = 2, 1  # three pixels: not more than three
    semantic[1, :2], instances[1, :5] = 2, 2  # mostly void
    semantic[2, :5], instances[2, :5] = 10, 3  # a wall with an instance id
    targets = _targets(semantic, instances)
    assert targets['gt_labels'].tolist() == [10]


def test_ties_go_to_the_smaller_class_and_never_to_void():
    semantic, instances = _maps()
    instances[0, :4] = 1
    semantic[0, :4] = 5, 5, 2, 2
    instances[1, :4] = 2
    semantic[1, :4] = 0, 0, 6, 6
    assert _targets(semantic, instances)['gt_labels'].tolist() == [2, 6]


def test_ceiling_is_a_target_where_the_dataset_has_it():
    semantic, instances = _maps()
    semantic[:2] = 12
    assert _targets(semantic, instances)['gt_labels'].tolist() == []
    targets = _targets(semantic, instances, space=MATTERPORT3D)
    assert targets['gt_labels'].tolist() == [12]


def test_an_empty_image_has_no_targets():
    targets = _targets(*_maps())
    assert targets['gt_masks'].shape == (0, 10, 14)
    assert targets['gt_masks'].dtype == bool
    assert targets['gt_labels'].shape == (0,)
    results = {
        **targets,
        'img': np.zeros((10, 14, 3), np.uint8),
        'K': np.eye(3),
        'sample_id': 'a',
        'img_path': 'a.png',
        'ori_shape': (10, 14),
        'img_shape': (10, 14),
        'grid': FrustumGrid(dims=(8, 8, 8)),
        'loss_weight': 1.0,
        'room_mask': np.ones((5, 7), bool),
        'gt_plane_occupancy': np.zeros((3, 5, 7), bool),
    }
    packed = PackReconstructionInputs().transform(results)
    sample = packed['data_samples']
    assert len(sample.gt_instances) == 0
    assert sample.gt_instances.masks.shape == (0, 10, 14)
    assert sample.gt_plane_occupancy.occupancy.shape == (3, 5, 7)
    assert packed['inputs']['room_mask'].shape == (5, 7)
    assert 'gt_volume' not in sample


def test_packed_images_keep_their_rgb_order():
    image = np.zeros((4, 5, 3), np.uint8)
    image[..., 0] = 7
    results = dict.fromkeys(
        ('sample_id', 'img_path', 'ori_shape', 'img_shape', 'grid', 'label_space')
    )
    results |= {'img': image, 'K': np.eye(3), 'loss_weight': 2.0}
    packed = PackReconstructionInputs().transform(results)
    assert packed['inputs']['img'][:, 0, 0].tolist() == [7, 0, 0]
    assert packed['inputs']['img'].is_contiguous()
    assert packed['data_samples'].loss_weight == 2.0


def test_colours_change_and_stay_images():
    image = np.array(Image.effect_noise((33, 20), 60).convert('RGB'))
    image[..., 1] //= 2
    distort = DistortColours()
    changed = [distort.transform({'img': image})['img'] for _ in range(20)]
    assert all(c.dtype == np.uint8 and c.shape == image.shape for c in changed)
    assert sum(not np.array_equal(c, image) for c in changed) > 10


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        ({'contrast': (0.5, 0.5)}, [50, 25, 10]),
        ({'saturation': (0.0, 0.0)}, [100, 100, 100]),
    ],
)
def test_each_distortion_does_what_it_says(monkeypatch, arguments, expected):
    neutral = {
        'brightness': 0.0,
        'contrast': (1.0, 1.0),
        'saturation': (1.0, 1.0),
        'hue': 0,
    }
    monkeypatch.setattr(np.random, 'rand', lambda: 0.0)  # every coin says yes
    image = np.full((4, 5, 3), (100, 50, 20), np.uint8)
    changed = DistortColours(**(neutral | arguments)).transform({'img': image})['img']
    np.testing.assert_allclose(changed[0, 0], expected, atol=1)


def test_hue_turns_around_the_circle(monkeypatch):
    monkeypatch.setattr(np.random, 'rand', lambda: 0.0)
    monkeypatch.setattr(np.random, 'randint', lambda low, high: 60)  # 120 degrees
    red = np.full((4, 5, 3), (200, 0, 0), np.uint8)
    distort = DistortColours(0.0, (1.0, 1.0), (1.0, 1.0), hue=90)
    np.testing.assert_allclose(
        distort.transform({'img': red})['img'][0, 0], [0, 200, 0]
    )
