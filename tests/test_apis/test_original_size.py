"""2D predictions at the size of the image file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData

from mmp3d.apis import at_original_size
from mmp3d.structures import (
    PanopticReconstructionSample,
    PanopticSegmentation,
    Segment,
    VolumeData,
)

K = np.array([[10.0, 0, 2.5], [0, 12.0, 1.5], [0, 0, 1]])


def _sample(ori_shape: tuple[int, int]) -> PanopticReconstructionSample:
    sample = PanopticReconstructionSample(
        metainfo=dict(ori_shape=ori_shape, img_shape=(4, 6), K=K)
    )
    ids = torch.zeros(4, 6, dtype=torch.int32)
    ids[1:3, 2:5], ids[3, 0] = 7, 2**17
    segments = (Segment(7, 2, True), Segment(2**17, 10, False))
    probs = torch.zeros(13, 4, 6)
    sample.pred_panoptic_seg = PanopticSegmentation(ids, segments, probs)
    sample.pred_depth_map = PixelData(depth=torch.full((1, 4, 6), 2.5))
    sample.pred_volume = VolumeData(tudf=torch.zeros(2, 3, 4))
    return sample


def test_ids_depth_and_camera_follow():
    before = _sample((8, 18))
    after = at_original_size(before)
    assert after.img_shape == (8, 18)
    np.testing.assert_allclose(after.K, [[30, 0, 7.5], [0, 24, 3], [0, 0, 1]])
    ids = before.pred_panoptic_seg.ids
    expected = ids.repeat_interleave(2, 0).repeat_interleave(3, 1)
    assert torch.equal(after.pred_panoptic_seg.ids, expected)
    assert after.pred_panoptic_seg.segments == before.pred_panoptic_seg.segments
    assert torch.equal(after.pred_depth_map.depth, torch.full((1, 8, 18), 2.5))
    assert after.pred_volume.tudf.shape == (2, 3, 4)
    # What came in is as it was.
    assert before.img_shape == (4, 6)
    assert before.pred_panoptic_seg.ids.shape == (4, 6)
    np.testing.assert_array_equal(before.K, K)


@pytest.mark.parametrize('size', [(1, 1), (2, 3), (4, 6)])
def test_files_may_be_smaller_than_the_model(size: tuple[int, int]):
    after = at_original_size(_sample(size))
    assert after.pred_panoptic_seg.ids.shape == size
    assert after.pred_panoptic_seg.ids.dtype == torch.int32
    assert after.pred_depth_map.depth.shape == (1, *size)
