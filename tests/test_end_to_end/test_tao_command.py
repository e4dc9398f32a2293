"""A spec trains, evaluates and infers through ``mmp3d.tao``."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

from mmp3d.fileio import read_npz
from mmp3d.tao.__main__ import main


@pytest.fixture
def spec(
    rooms: Path,
    tiny_config: Callable[[int, Path], Config],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[int], list[str]]:
    """Gives the arguments for a stage: a spec over the repository's tiny config."""
    for name in ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'NODE_RANK'):
        monkeypatch.delenv(name, raising=False)
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        monkeypatch.setenv('MASTER_PORT', str(probe.getsockname()[1]))

    def make(stage: int) -> list[str]:
        base = tmp_path / f'base{stage}.py'
        tiny_config(stage, tmp_path / 'work').dump(base)
        split = dict(base_dir=str(rooms), num_workers=0)
        values = dict(
            results_dir=str(tmp_path / 'results'),
            dataset=dict(
                train=dict(json_path=str(rooms / 'meta/train.json'), **split),
                val=dict(json_path=str(rooms / 'meta/val.json'), **split),
                test=dict(json_path=str(rooms / 'meta/test.json'), **split),
            ),
            train=dict(
                checkpoint_interval_unit='step',
                checkpoint_interval=1,
                num_epochs=1,
                optim=dict(max_steps=9),
            ),
            model=dict(object_mask_threshold=0.0, overlap_threshold=0.0),
        )
        path = tmp_path / 'spec.yaml'
        path.write_text(yaml.safe_dump(values))
        return ['-e', str(path), '--base', str(base)]

    return make


def test_a_spec_trains_one_epoch(spec: Callable[[int], list[str]], tmp_path: Path):
    overrides = ['dataset.train.batch_size=2', 'dataset.val.batch_size=1']
    assert main(['train', *spec(1), *overrides]) == 0
    # Two images in batches of two: one step, before the nine of max_steps.
    (checkpoint,) = (tmp_path / 'results' / 'train').glob('iter_*.pth')
    assert checkpoint.name == 'iter_1.pth'


def test_a_spec_infers_the_documented_arrays(
    spec: Callable[[int], list[str]],
    trained: dict[int, Path],
    rooms: Path,
    tmp_path: Path,
):
    images = tmp_path / 'images'
    images.mkdir()
    image = next((rooms / 'data').glob('synth-test-*/rgb_*.png'))
    (images / 'good.png').write_bytes(image.read_bytes())
    (images / 'half.png').write_bytes(image.read_bytes()[:2000])
    overrides = [
        f'inference.checkpoint={trained[2]}',
        f'inference.images_dir={images}',
    ]
    arguments = [*spec(2), '--camera', 'dataset', *overrides]
    assert main(['inference', *arguments]) == 1  # one image is broken
    folder = tmp_path / 'results' / 'inference' / 'good'
    result = json.loads((folder / 'result.json').read_text())
    assert result['intrinsics_source'] == 'dataset'
    assert (folder / 'panel.png').is_file()
    arrays = {
        name: read_npz(folder / 'tao_outputs.npz', name)
        for name in ('panoptic_seg_2d', 'depth_2d', 'geometry_3d', 'panoptic_seg_3d')
    }
    assert arrays['panoptic_seg_2d'].shape == arrays['depth_2d'].shape == (60, 80)
    assert arrays['geometry_3d'].shape == arrays['panoptic_seg_3d'].shape == (64,) * 3
    assert (arrays['depth_2d'] > 0).all()


def test_a_spec_evaluates_a_checkpoint(
    spec: Callable[[int], list[str]], trained: dict[int, Path], tmp_path: Path
):
    assert main(['evaluate', *spec(2), f'evaluate.checkpoint={trained[2]}']) == 0
    (scores,) = (tmp_path / 'results' / 'evaluate').glob('*/*.json')
    names = json.loads(scores.read_text())
    assert {'reconstruction/PRQ', 'image/PQ', 'depth/abs_rel'} <= set(names)


def test_two_processes_train_a_spec(spec: Callable[[int], list[str]], tmp_path: Path):
    overrides = ['train.num_gpus=2', 'train.optim.max_steps=1']
    assert main(['train', *spec(1), *overrides]) == 0
    (checkpoint,) = (tmp_path / 'results' / 'train').glob('iter_*.pth')
    # Two images, one for each process: one step.
    assert checkpoint.name == 'iter_1.pth'
