"""Segmentations, volumes and label spaces."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmp3d.structures import (
    FRONT3D,
    MATTERPORT3D,
    LabelSpace,
    PanopticSegmentation,
    Segment,
    VolumeData,
)


def test_semantic_maps_ids_to_labels():
    ids = torch.tensor([[0, 2, 1], [1, 2, 2]], dtype=torch.int32)
    segments = (Segment(1, 10, False), Segment(2, 3, True))
    semantic = PanopticSegmentation(ids, segments).semantic()
    assert semantic.tolist() == [[0, 3, 10], [10, 3, 3]]
    assert semantic.dtype == torch.int32


def test_nothing_found_is_all_void():
    ids = torch.zeros(2, 3, 4, dtype=torch.int32)
    assert PanopticSegmentation(ids, ()).semantic().eq(0).all()


def test_label_space_columns():
    assert FRONT3D.num_classes == 13
    assert FRONT3D.no_object == 13
    assert FRONT3D.stuff_labels == (10, 11, 12)
    assert FRONT3D.classes[8] == 'lamp'
    assert FRONT3D.is_thing(9) and not FRONT3D.is_thing(10)
    assert MATTERPORT3D.stuff_targets == (10, 11, 12)
    assert FRONT3D.stuff_targets == (10, 11)


def test_unknown_label_space_names_the_known_ones():
    with pytest.raises(KeyError, match="did you mean 'front3d'"):
        LabelSpace.named('front3')


@pytest.mark.breaks_types
def test_volumes_of_one_scene_share_their_grid():
    volumes = VolumeData(tudf=torch.zeros(2, 3, 4))
    volumes.ids = np.zeros((2, 3, 4), dtype=np.int32)
    assert volumes.dims == (2, 3, 4)
    with pytest.raises(ValueError, match=r'semantic has the grid \(4, 3, 2\)'):
        volumes.semantic = torch.zeros(4, 3, 2)
    with pytest.raises(ValueError, match='must end in X Y Z'):
        VolumeData(tudf=torch.zeros(3, 4))
    with pytest.raises(TypeError, match='tensor or an array'):
        VolumeData(tudf=[1, 2])
