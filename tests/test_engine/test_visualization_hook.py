"""Panels during validation and test, in one process and in several."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from mmengine.structures import PixelData

from mmp3d.engine.hooks import ReconstructionVisualizationHook
from mmp3d.fileio import read_image, write_image
from mmp3d.structures import FRONT3D, PanopticReconstructionSample
from mmp3d.visualization import ReconstructionVisualizer


@pytest.fixture
def outputs(tmp_path: Path) -> list[PanopticReconstructionSample]:
    """Two samples with nothing but a predicted depth."""
    image = tmp_path / 'image.png'
    write_image(image, np.full((24, 32, 3), 90, np.uint8))
    samples = []
    for name in ('room_0', 'room_1'):
        sample = PanopticReconstructionSample()
        meta = dict(sample_id=name, img_path=str(image), label_space=FRONT3D)
        sample.set_metainfo(meta)
        sample.pred_depth_map = PixelData(depth=torch.full((1, 24, 32), 2.0))
        samples.append(sample)
    return samples


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A runner that only has a visualizer, in iteration 0."""
    runner = Runner.__new__(Runner)
    runner.visualizer = ReconstructionVisualizer(
        'hook', vis_backends=[dict(type='LocalVisBackend')], save_dir=str(tmp_path)
    )
    runner._train_loop = None
    return runner


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob('*.png'))


def test_tests_draw_every_sample(runner, outputs, tmp_path: Path):
    out = tmp_path / 'panels'
    hook = ReconstructionVisualizationHook(draw=True, test_out_dir=str(out))
    hook.after_test_iter(runner, 3, {}, outputs)
    assert _names(out) == ['room_0.png', 'room_1.png']
    assert read_image(out / 'room_0.png').shape[1] == 1200
    assert _names(tmp_path / 'vis_data') == ['test_room_0_3.png', 'test_room_1_3.png']


def test_validation_draws_the_first_sample_of_some_batches(runner, outputs, tmp_path):
    hook = ReconstructionVisualizationHook(draw=True, interval=2)
    for batch in range(3):
        hook.after_val_iter(runner, batch, {}, outputs)
    assert _names(tmp_path / 'vis_data') == ['val_room_0_0.png']
    ReconstructionVisualizationHook().after_val_iter(runner, 0, {}, outputs[1:])
    assert len(_names(tmp_path / 'vis_data')) == 1


def test_other_processes_write_the_panels_of_their_samples(
    runner, outputs, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr('mmengine.dist.utils.get_rank', lambda group=None: 1)
    out = tmp_path / 'panels'
    hook = ReconstructionVisualizationHook(draw=True, test_out_dir=str(out))
    hook.after_test_iter(runner, 0, {}, outputs[1:])
    hook.after_val_iter(runner, 0, {}, outputs)
    assert _names(out) == ['room_1.png']
    assert not (tmp_path / 'vis_data').exists() or not _names(tmp_path / 'vis_data')
