"""Targets of stage 2 from label volumes."""

from __future__ import annotations

import pytest
import torch
from mmengine.structures import InstanceData

from mmp3d.geometry.distance_field import instance_masks, instance_masks_at_stride
from mmp3d.structures import PanopticReconstructionSample, VolumeData
from projects.NvPanoptix3D.nvpanoptix3d.frustum_targets import (
    DenseMasks,
    LabelMasks,
    build_frustum_targets,
)

DIMS = (16, 24, 8)
# Two chairs, a wall and a floor; the fifth is in no voxel.
INSTANCE_IDS = torch.tensor([7, 3, 0, 0, 9])
LABELS = torch.tensor([3, 3, 10, 11, 5])


def _label_masks() -> LabelMasks:
    instances = torch.zeros(DIMS, dtype=torch.int32)
    semantic = torch.zeros(DIMS, dtype=torch.uint8)
    draw = torch.rand(DIMS)
    for low, instance, label in (
        (0.80, 7, 3),
        (0.85, 3, 3),
        (0.88, 12, 4),  # not a target
        (0.90, 0, 10),
        (0.95, 0, 11),
    ):
        instances[draw > low] = instance
        semantic[draw > low] = label
    return LabelMasks(instances, semantic, INSTANCE_IDS, LABELS)


def _dense(masks: LabelMasks) -> torch.Tensor:
    return instance_masks(
        masks.instance_volume, masks.semantic, masks.instance_ids, masks.labels
    )


@pytest.mark.parametrize('stride', [2, 4])
def test_pooled_masks_are_those_of_the_dense_way(stride):
    masks = _label_masks()
    expected = instance_masks_at_stride(_dense(masks), stride)
    assert torch.equal(masks.pooled(stride).masks, expected)


@pytest.mark.parametrize(
    ('voxel', 'stride', 'cells'), [(100, 2, [49, 50]), (100, 4, [24, 25]), (0, 4, [0])]
)
def test_published_cells_of_a_voxel(voxel, stride, cells):
    semantic = torch.zeros(8, 8, 256, dtype=torch.uint8)
    semantic[3, 3, voxel] = 10
    masks = LabelMasks(
        torch.zeros_like(semantic), semantic, torch.tensor([0]), torch.tensor([10])
    )
    pooled = masks.pooled(stride).masks[0]
    assert pooled.any(dim=0).any(dim=0).nonzero()[:, 0].tolist() == cells


def test_masks_at_cells_are_those_of_the_dense_way():
    masks = _label_masks()
    dense = DenseMasks(_dense(masks))
    cells = torch.stack([torch.randint(n, (50,)) for n in DIMS], dim=1)
    assert masks.at(cells).any()
    assert torch.equal(masks.at(cells), dense.at(cells))
    assert masks.at(cells[:0]).shape == (0, 5)


def test_targets_without_a_voxel_are_known():
    masks = _label_masks()
    filled = [True, True, True, True, False]
    assert masks.are_filled().tolist() == filled
    assert DenseMasks(_dense(masks)).are_filled().tolist() == filled


def _sample(masks: LabelMasks) -> PanopticReconstructionSample:
    sample = PanopticReconstructionSample(metainfo={'loss_weight': 0.5})
    sample.gt_volume = VolumeData(
        tudf=12 * torch.rand(DIMS),
        semantic=masks.semantic,
        instance_ids=masks.instance_volume,
        weights=torch.rand(DIMS),
    )
    sample.gt_instances = InstanceData(
        labels=masks.labels, instance_ids=masks.instance_ids
    )
    return sample


def test_targets_of_a_sample():
    sample = _sample(_label_masks())
    targets = build_frustum_targets(sample, (8.0, 6.0, 3.0), torch.device('cpu'))
    volume = sample.gt_volume
    assert targets.num_targets == 5
    assert targets.sample_weight == 0.5
    assert torch.equal(targets.stride_1.occupancy, volume.tudf < 3)
    # Corners are aligned: the first and the last cells are voxels.
    for level, band in ((targets.stride_2, 6), (targets.stride_4, 8)):
        assert level.occupancy[-1, -1, -1] == (volume.tudf[-1, -1, -1] < band)
        torch.testing.assert_close(level.weights[0, 0, 0], volume.weights[0, 0, 0])
    assert targets.stride_4.masks.masks.shape == (5, 4, 6, 2)


def test_a_sample_without_targets():
    empty = torch.zeros(0, dtype=torch.int64)
    masks = LabelMasks(
        torch.zeros(DIMS, dtype=torch.int32),
        torch.zeros(DIMS, dtype=torch.uint8),
        empty,
        empty,
    )
    targets = build_frustum_targets(
        _sample(masks), (8.0, 6.0, 12.0), torch.device('cpu')
    )
    assert targets.num_targets == 0
    assert targets.stride_2.masks.masks.shape == (0, 8, 12, 4)
    assert targets.stride_1.masks.are_filled().shape == (0,)
