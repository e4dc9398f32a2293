"""Depth features spread over the mask features' cells."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from projects.NvPanoptix3D.nvpanoptix3d.feature_projector import FeatureProjector


def test_the_map_is_halved_and_then_spread():
    projector = FeatureProjector(in_channels=3, channels=4).eval()
    features = torch.randn(2, 3, 7, 9)
    projected = projector(features, (10, 12))
    reduced = projector.reduce(features)
    assert reduced.shape == (2, 4, 4, 5)
    spread = F.interpolate(reduced, (10, 12), mode='bilinear')
    torch.testing.assert_close(projected, projector.project(spread))


def test_a_single_cell_can_be_trained():
    projector = FeatureProjector(in_channels=3, channels=4).train()
    projector(torch.randn(1, 3, 2, 2), (3, 5)).sum().backward()
    assert projector.project.weight.grad.isfinite().all()
