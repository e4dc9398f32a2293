"""SynthRooms in Matterport3D's layout: from the generator to the metric."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate

from mmp3d.apis import PanopticReconstructionInferencer
from mmp3d.datasets.folders import configs_of_folder
from mmp3d.evaluation import PanopticReconstructionQuality
from mmp3d.evaluation.functional import volume_ground_truth
from mmp3d.fileio import read_npz
from mmp3d.models.detectors import ReconstructionDetector
from mmp3d.registry import DATASETS, METRICS, MODELS
from mmp3d.structures import FrustumGrid, PanopticSegmentation, Segment, VolumeData
from mmp3d.testing.synth_rooms import MATTERPORT_LAYOUT, SynthRoomsSpec, make_dataset

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'nvpanoptix3d'
GRID = dict(dims=(64, 64, 64), voxel_size=0.12)


@pytest.fixture(scope='module')
def matterport_rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('matterport_rooms')
    spec = SynthRoomsSpec(seed=3, grid=FrustumGrid(**GRID))
    list(make_dataset(root, spec, {'train': 1}, layout=MATTERPORT_LAYOUT))
    with pytest.raises(ValueError, match='layout matterport; asked for layout front3d'):
        list(make_dataset(root, spec, {'train': 1}))
    return root


def test_the_truth_scores_100(matterport_rooms: Path):
    cfg = Config.fromfile(CONFIGS / 'nvpanoptix3d_tiny_stage2_synthmatterport.py')
    settings = cfg.val_dataloader.dataset
    settings.update(data_root=str(matterport_rooms), ann_file='meta/train.json')
    settings.grid.merge(Config(GRID)._cfg_dict)
    packed = DATASETS.build(settings)[0]
    sample = packed['data_samples']
    assert packed['inputs']['room_mask'].shape == (60, 80)
    assert packed['inputs']['room_mask'].any()
    volume = sample.gt_volume
    space = sample.label_space
    ids, labels = volume_ground_truth(
        volume.semantic.numpy(), volume.instance_ids.numpy(), space
    )
    segments = tuple(Segment(i, c, space.is_thing(c)) for i, c in labels.items())
    sample.pred_volume = VolumeData(tudf=volume.tudf.clamp(max=3))
    sample.pred_volume_seg = PanopticSegmentation(
        torch.from_numpy(ids.astype(np.int32)), segments
    )
    metric: PanopticReconstructionQuality = METRICS.build(cfg.val_evaluator[-1])
    assert (metric.iso, metric.downsample_factor) == (2.0, 2)
    metric.process(None, [sample.to_dict()])
    scores = metric.evaluate(1)
    for name in ('PRQ', 'RSQ', 'RRQ'):
        assert scores[f'reconstruction/{name}'] == pytest.approx(100)


def test_distances_are_signed_and_the_frustum_is_the_camera_s(matterport_rooms: Path):
    (config,) = configs_of_folder(matterport_rooms, ['train'])
    assert config['type'] == 'Matterport3DDataset'
    assert config['grid']['dims'] == (64, 64, 64)
    config['grid']['voxel_size'] = 0.12
    dataset = DATASETS.build({**config, 'pipeline': []})
    info = dataset.get_data_info(0)
    distance = read_npz(info['files'].geometry, 'data')
    invalid = read_npz(info['files'].geometry, 'mask')
    assert (distance < 0).any()
    assert (distance[invalid] == 12).all()
    assert info['K'][0, 0] == pytest.approx(277.128, abs=1e-3)


def _built(stage: int, split: str, root: Path) -> tuple[ReconstructionDetector, dict]:
    """A tiny model and one collated sample of a split's pipeline."""
    path = CONFIGS / f'nvpanoptix3d_tiny_stage{stage}_synthmatterport.py'
    cfg = Config.fromfile(path)
    settings = cfg[f'{split}_dataloader'].dataset
    settings.update(data_root=str(root), ann_file='meta/train.json')
    settings.grid.merge(Config(GRID)._cfg_dict)
    model = MODELS.build(cfg.model)
    return model, pseudo_collate([DATASETS.build(settings)[0]])


def test_stage_1_trains_and_sees_its_room_only(matterport_rooms: Path):
    model, batch = _built(1, 'train', matterport_rooms)
    losses = model.train()(**model.data_preprocessor(batch, True), mode='loss')
    total, _ = model.parse_losses(losses)
    assert torch.isfinite(total)
    _, batch = _built(1, 'test', matterport_rooms)
    room = batch['data_samples'][0].room_map
    room.mask[:, :, 200:] = False  # a door to another room
    with torch.no_grad():
        (sample,) = model.eval().test_step(batch)
    depth = sample.pred_depth_map.depth
    assert (depth[room.mask] > 0).all() and (depth[~room.mask] == 0).all()


def test_stage_2_trains_and_fills_its_room_only(matterport_rooms: Path):
    model, batch = _built(2, 'train', matterport_rooms)
    losses = model.train()(**model.data_preprocessor(batch, True), mode='loss')
    total, _ = model.parse_losses(losses)
    assert torch.isfinite(total)
    _, batch = _built(2, 'test', matterport_rooms)
    mask = batch['inputs']['frustum_mask'][0]
    with torch.no_grad():
        (sample,) = model.eval().test_step(batch)
    assert (sample.pred_depth_map.depth > 0).all()  # not cut in stage 2, as published
    assert sample.pred_volume.tudf.shape == (64, 64, 64)
    assert (sample.pred_volume_seg.ids[~mask] == 0).all()


def test_free_images_need_no_room_mask():
    cfg = Config.fromfile(CONFIGS / 'nvpanoptix3d_tiny_stage2_synthmatterport.py')
    cfg.test_dataloader.dataset.grid.merge(Config(GRID)._cfg_dict)
    infer = PanopticReconstructionInferencer(cfg, device='cpu')
    (sample,) = infer(np.full((60, 80, 3), 90, np.uint8))
    assert sample.label_space.name == 'matterport3d'
    assert (sample.intrinsics_source, sample.K[0, 0]) == ('dataset', 277.1281435)
    assert sample.pred_volume.tudf.shape == (64, 64, 64)
