from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from mmp3d.geometry.distance_field import (
    coarse_occupancy,
    coarse_weights,
    instance_masks,
    instance_masks_at_stride,
)


def test_coarse_cells_sample_with_aligned_corners():
    ramp = torch.arange(16.0)[None, :, None, None].expand(2, 16, 8, 24)
    coarse = coarse_weights(ramp, 4)
    assert coarse.shape == (2, 4, 2, 6)
    # Cell i samples position i * 15 / 3: the first and the last are voxel centres.
    torch.testing.assert_close(coarse[1, :, 0, 3], torch.tensor([0.0, 5, 10, 15]))
    occupied = coarse_occupancy(ramp, 4, threshold=10.0)
    assert occupied[0, :, 1, 2].tolist() == [True, True, False, False]
    assert coarse_occupancy(ramp, 1, 3.0)[0, :4, 0, 0].tolist() == [True] * 3 + [False]


def test_batched_sampling_is_sampling_one_by_one():
    volumes = torch.rand(3, 8, 16, 24) * 12
    one_by_one = torch.cat([coarse_weights(v[None], 2) for v in volumes])
    torch.testing.assert_close(coarse_weights(volumes, 2), one_by_one)


def test_targets_are_cut_out_by_instance_and_by_class():
    instances = torch.zeros(8, 8, 16, dtype=torch.int32)
    semantic = torch.zeros(8, 8, 16, dtype=torch.uint8)
    instances[1, 2, 3] = 7
    semantic[1, 2, 3] = 4
    semantic[:, :, 15] = 10
    masks = instance_masks(
        instances, semantic, torch.tensor([7, 0]), torch.tensor([4, 10])
    )
    assert masks.dtype == torch.bool
    assert masks.sum(dim=(1, 2, 3)).tolist() == [1, 64]
    assert masks[0, 1, 2, 3]
    assert masks[1, :, :, 15].all()


def test_no_target_gives_no_mask():
    volume = torch.zeros(8, 8, 16, dtype=torch.int32)
    none = torch.zeros(0, dtype=torch.int64)
    masks = instance_masks(volume, volume, none, none)
    assert masks.shape == (0, 8, 8, 16)
    assert instance_masks_at_stride(masks, 4).shape == (0, 2, 2, 4)


@pytest.mark.parametrize('stride', [2, 4, 8])
def test_pooled_masks_equal_max_pooling(stride):
    masks = torch.rand(3, 16, 8, 24) < 0.01
    pooled = F.max_pool3d(masks.float(), 2 * stride, stride, stride // 2) > 0
    assert torch.equal(instance_masks_at_stride(masks, stride), pooled)


def test_a_voxel_reaches_two_cells_per_axis():
    masks = torch.zeros(1, 256, 8, 8, dtype=torch.bool)
    masks[0, 100, 4, 4] = True
    assert instance_masks_at_stride(masks, 2)[0].any(2).any(1).nonzero()[
        :, 0
    ].tolist() == [49, 50]
    assert instance_masks_at_stride(masks, 4)[0].any(2).any(1).nonzero()[
        :, 0
    ].tolist() == [24, 25]
    assert instance_masks_at_stride(masks, 1) is masks


def test_a_stride_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match='must be 1 or even, and divide'):
        instance_masks_at_stride(torch.zeros(1, 8, 8, 12, dtype=torch.bool), 8)
