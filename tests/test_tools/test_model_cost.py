"""The cost of a model, part by part."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch.utils.flop_counter import FlopCounterMode

from mmp3d.registry import MODELS
from mmp3d.structures import CameraBatch, FrustumGrid
from tools.analysis.model_cost import FLOP_FORMULAS, forward_cost

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/nvpanoptix3d'


def test_full_size_backbone_costs_what_the_reference_costs():
    cfg = Config.fromfile(CONFIGS / 'nvpanoptix3d_vggt-l.py')
    with torch.device('meta'):
        backbone = MODELS.build(cfg.model.backbone).eval().requires_grad_(False)
        inputs = CameraBatch(
            torch.zeros(1, 1, 3, 256, 320),
            torch.zeros(1, 1, 3, 3),
            image_sizes=((240, 320),),
            grid=FrustumGrid(),
        )
        with FlopCounterMode(display=False, custom_mapping=FLOP_FORMULAS) as counter:
            backbone(inputs)
    gflop = {
        name: sum(counts.values()) / 1e9
        for name, counts in counter.get_flop_counts().items()
    }
    # Measured on the reference with the same counter.
    assert gflop['VGGT.aggregator'] == pytest.approx(1724.2, rel=1e-3)
    assert gflop['VGGT.camera_head'] == pytest.approx(1.7, abs=0.05)
    assert gflop['VGGT.token_pyramid'] == pytest.approx(209.4, rel=1e-3)
    assert gflop['VGGT.depth_head'] == pytest.approx(181.1, rel=0.05)
    assert gflop['Global'] == pytest.approx(2116.4, rel=0.01)


def test_parts_add_up():
    config = CONFIGS / 'nvpanoptix3d_tiny_stage1_synthrooms.py'
    cost = forward_cost(str(config), checkpoint=None, device='cpu')
    assert cost.voxels == {}
    parts = {part.name: part for part in cost.parts}
    assert next(iter(parts)) == ''
    top = [p for name, p in parts.items() if name and '.' not in name]
    assert {'backbone', 'pixel_decoder', 'panoptic_head'} <= {p.name for p in top}
    assert sum(p.parameters for p in top) == parts[''].parameters > 5e6
    assert sum(p.gflop for p in top) == pytest.approx(parts[''].gflop, rel=0.01)
    assert 0 < sum(p.seconds for p in top) <= parts[''].seconds
