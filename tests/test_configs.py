"""Every runnable config builds, and every key of it is read by something."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmp3d.registry import METRICS, MODELS, TRANSFORMS
from mmp3d.structures import FrustumGrid

ROOT = Path(__file__).resolve().parents[1]
RUNNABLE = sorted((ROOT / 'configs').glob('*/*_stage*_*.py'))
TINY = {stage: f'nvpanoptix3d_tiny_stage{stage}_synthrooms' for stage in (1, 2)}


@pytest.fixture(params=RUNNABLE, ids=lambda path: path.stem)
def config(request: pytest.FixtureRequest) -> Config:
    cfg = Config.fromfile(request.param)
    init_default_scope('mmp3d')
    return cfg


def test_model_builds_without_memory(config: Config):
    with torch.device('meta'):
        model = MODELS.build(config.model)
    has_3d = config.model.get('frustum_branch') is not None
    assert (model.frustum_branch is not None) == has_3d
    trained = [n for n, p in model.named_parameters() if p.requires_grad]
    for name in config.model.get('frozen', ()):
        assert not [n for n in trained if n.startswith(f'{name}.')]
    assert trained


def test_data_and_metrics_build(config: Config):
    grids = set()
    for split in ('train', 'val', 'test'):
        dataset = config[f'{split}_dataloader'].dataset
        grids.add(FrustumGrid(**dataset.grid))
        for step in dataset.pipeline:
            TRANSFORMS.build(step)
    assert len(grids) == 1, 'the splits have different grids'
    for name in ('val_evaluator', 'test_evaluator'):
        for metric in config[name]:
            METRICS.build(metric)


def test_planes_of_data_and_model_agree(config: Config):
    head = config.model.panoptic_head.plane_occupancy
    for step in config.train_dataloader.dataset.pipeline:
        if step.type == 'PlaneOccupancyTarget':
            assert step.get('num_planes', 100) == head.num_planes
            assert tuple(step.get('plane_size', (120, 160))) == tuple(head.plane_size)
        if step.type == 'MakePlaneDepth':
            assert tuple(step.get('plane_size', (120, 160))) == tuple(head.plane_size)


def test_unknown_model_key_is_an_error():
    cfg = Config.fromfile(ROOT / f'configs/nvpanoptix3d/{TINY[1]}.py')
    cfg.model.panoptic_head.no_such_key = 1
    with pytest.raises(TypeError, match='no_such_key'):
        MODELS.build(cfg.model)


def test_stage_2_adds_the_frustum_branch_only():
    state = {}
    for stage, name in TINY.items():
        cfg = Config.fromfile(ROOT / f'configs/nvpanoptix3d/{name}.py')
        with torch.device('meta'):
            state[stage] = MODELS.build(cfg.model).state_dict()
    more = set(state[2]) - set(state[1])
    assert not set(state[1]) - set(state[2])
    assert more and all(name.startswith('frustum_branch.') for name in more)
