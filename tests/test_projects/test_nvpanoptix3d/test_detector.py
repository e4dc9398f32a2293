"""What the detector itself adds to its parts."""

from __future__ import annotations

import torch
from mmengine.structures import PixelData

from mmp3d.structures import PanopticReconstructionSample
from projects.NvPanoptix3D.nvpanoptix3d.detector import within_room


def test_depth_is_cut_to_the_room_where_it_is_known():
    depth = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    sample = PanopticReconstructionSample()
    assert torch.equal(within_room(depth, sample), depth[None])
    mask = torch.tensor([[[True, False, True], [False, False, True]]])
    sample.room_map = PixelData(mask=mask)
    expected = torch.tensor([[[1.0, 0.0, 3.0], [0.0, 0.0, 6.0]]])
    assert torch.equal(within_room(depth, sample), expected)
