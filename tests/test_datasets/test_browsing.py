from __future__ import annotations

from pathlib import Path

import pytest
from mmengine import Config

from mmp3d.datasets.folders import MATTERPORT3D_LOADERS
from mmp3d.fileio import read_image
from mmp3d.registry import DATASETS
from tools.analysis import browse_dataset

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
RUNNABLE = sorted(CONFIGS.glob('*/*_stage*_*.py'))

PIPELINE = [
    {'type': 'LoadReconstructionImage'},
    {'type': 'LoadPanopticMaps'},
    {'type': 'LoadVolumes', 'volumes': ('geometry',), 'stored_flipped': False},
    {'type': 'RandomFlipReconstruction', 'prob': 1.0},
    {'type': 'PlaneOccupancyTarget'},
    {'type': 'PackReconstructionInputs', 'with_3d': False},
]


def _types(pipeline) -> list[str]:
    return [step['type'] for step in pipeline]


def test_a_panel_shows_the_augmented_sample_in_3d():
    drawn = browse_dataset.pipeline_to_draw(PIPELINE, with_3d=True)
    assert _types(drawn) == [
        'LoadReconstructionImage',
        'LoadDepthMap',
        'LoadPanopticMaps',
        'LoadVolumes',
        'LoadFrustumMask',
        'RandomFlipReconstruction',
        'PackReconstructionInputs',
    ]
    assert drawn[3]['volumes'] == ('geometry', 'segmentation')
    assert drawn[3]['stored_flipped'] is False
    flat = browse_dataset.pipeline_to_draw(PIPELINE, with_3d=False)
    assert 'LoadVolumes' not in _types(flat)
    assert flat[-1]['with_3d'] is False


def test_panels_are_written(tiny_root, tmp_path, capsys):
    config = tmp_path / 'config.py'
    pipeline = [PIPELINE[0], PIPELINE[-1]]
    config.write_text(
        "train_dataloader = dict(dataset=dict(type='Front3DDataset', "
        f"data_root={str(tiny_root)!r}, ann_file='meta/train.json', "
        f'grid=dict(dims=(16, 8, 24), voxel_size=0.25), pipeline={pipeline}))\n'
    )
    out = tmp_path / 'panels'
    arguments = [str(config), '--out', str(out), '--number', '5', '--first', '1']
    assert browse_dataset.main(arguments) == 0
    assert [p.name for p in out.iterdir()] == ['train_room_0001.png']
    assert read_image(out / 'train_room_0001.png').shape[2] == 3
    (tiny_root / 'data' / 'room' / 'geometry_0001.npz').unlink()
    assert browse_dataset.main(arguments) == 1
    assert 'geometry_0001.npz' in capsys.readouterr().err
    assert browse_dataset.main([*arguments, '--no-3d']) == 0


def test_files_that_a_config_does_not_read_are_read_as_the_dataset_stores_them():
    pipeline = [{'type': 'LoadReconstructionImage'}, {'type': 'LoadRoomMask'}]
    pipeline += [{'type': 'MakePlaneRoomMask'}, {'type': 'PackReconstructionInputs'}]
    drawn = browse_dataset.pipeline_to_draw(pipeline, True, MATTERPORT3D_LOADERS)
    steps = {step['type']: step for step in drawn}
    assert steps['LoadVolumes']['stored_flipped'] is False
    assert steps['LoadFrustumMask']['stored_inverted'] is True
    assert 'LoadRoomMask' not in steps and 'MakePlaneRoomMask' not in steps


@pytest.mark.parametrize('path', RUNNABLE, ids=lambda path: path.stem)
@pytest.mark.parametrize('split', ['train', 'test'])
def test_every_config_can_be_browsed(path, split, tiny_root, matterport_root):
    settings = Config.fromfile(path)[f'{split}_dataloader']['dataset']
    is_matterport = settings.type == 'Matterport3DDataset'
    settings.update(
        data_root=str(matterport_root if is_matterport else tiny_root),
        ann_file='meta/train.json',
        grid=dict(dims=(16, 8, 24), voxel_size=0.25),
    )
    for with_3d in (True, False):
        pipeline = browse_dataset.drawn_pipeline(settings, with_3d)
        sample = DATASETS.build({**settings, 'pipeline': pipeline})[0]['data_samples']
        assert ('gt_volume' in sample) == with_3d
        assert 'gt_depth_map' in sample
