from __future__ import annotations

from mmp3d.fileio import read_image
from tools.analysis import browse_dataset

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
