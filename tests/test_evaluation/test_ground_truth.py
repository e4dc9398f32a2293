"""True segments of volumes and images."""

import numpy as np
import pytest

from mmp3d.evaluation.functional import image_ground_truth, volume_ground_truth
from mmp3d.structures import FRONT3D, MATTERPORT3D

BED, CHAIR, WALL, FLOOR, CEILING = 2, 3, 10, 11, 12


def _volume(values):
    return np.array(values).reshape(-1, 1, 1)


def test_instances_by_majority_then_stuff():
    instances = _volume([40, 40, 40, 7, 7, 7, 0, 0, 9])
    semantic = _volume([CHAIR, CHAIR, BED, BED, 0, 0, FLOOR, CEILING, 0])
    ids, labels = volume_ground_truth(semantic, instances, FRONT3D)
    # 7, 9, 40 become 3, 4, 5; 9 has no thing voxel and is no segment; the ceiling is
    # none of the stuff classes of this dataset.
    assert list(labels.items()) == [(3, BED), (5, CHAIR), (2, FLOOR)]
    assert ids.ravel().tolist() == [5, 5, 5, 3, 3, 3, 2, 0, 4]


def test_stuff_takes_its_voxels_from_instances():
    instances = _volume([5, 5, 5, 5])
    semantic = _volume([WALL, WALL, WALL, CHAIR])
    ids, labels = volume_ground_truth(semantic, instances, MATTERPORT3D)
    assert labels == {4: CHAIR, 1: WALL}
    assert ids.ravel().tolist() == [1, 1, 1, 4]


def test_the_smallest_label_wins_a_tie_and_large_ids_are_fine():
    instances = _volume([1 << 30, 1 << 30, 3])
    semantic = _volume([CHAIR, BED, CHAIR])
    ids, labels = volume_ground_truth(semantic, instances, FRONT3D)
    assert labels == {3: CHAIR, 4: BED}
    assert ids.ravel().tolist() == [4, 4, 3]


def test_an_empty_volume_has_no_segment():
    nothing = np.zeros((2, 3, 4), np.uint8)
    ids, labels = volume_ground_truth(nothing, nothing, FRONT3D)
    assert labels == {} and not ids.any()


def test_labels_outside_the_label_space_are_refused():
    with pytest.raises(ValueError, match='map the labels when loading'):
        volume_ground_truth(_volume([255]), _volume([0]), FRONT3D)


def test_pairs_of_class_and_instance_are_image_segments():
    semantic = np.array([[3, 3, 0], [3, 10, 10]])
    instances = np.array([[1, 2, 5], [1, 0, 0]])
    ids, labels = image_ground_truth(semantic, instances)
    assert ids.tolist() == [[1, 2, 0], [1, 3, 3]]
    assert labels == [3, 3, 10]


def test_an_image_of_void_has_no_segment():
    ids, labels = image_ground_truth(np.zeros((2, 3), int), np.ones((2, 3), int))
    assert labels == [] and not ids.any()
