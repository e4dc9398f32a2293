"""Images in, result files out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from mmp3d.apis import PanopticReconstructionInferencer, write_results
from mmp3d.apis.reconstruction_inferencer import intrinsics_matrix
from mmp3d.fileio import read_exr, read_gray16, read_image, read_npz
from tools.infer import find_images, folder_names

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def config(tiny_config, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('config') / 'stage2.py'
    cfg = tiny_config(2, path.parent)
    cfg.model.panoptic_head.object_mask_threshold = 0.0
    cfg.model.panoptic_head.overlap_threshold = 0.0
    cfg.model.frustum_branch.object_mask_threshold = 0.0
    cfg.dump(path)
    return path


def test_the_tool_writes_everything_and_skips_a_corrupt_image(
    config: Path, trained: dict[int, Path], rooms: Path, tmp_path: Path
):
    folder = tmp_path / 'images'
    folder.mkdir()
    image = next((rooms / 'data').glob('synth-test-*/rgb_*.png'))
    (folder / 'good.png').write_bytes(image.read_bytes())
    (folder / 'half.png').write_bytes(image.read_bytes()[:2000])
    done = subprocess.run(
        [
            *(sys.executable, 'tools/infer.py', config, trained[2], folder),
            *('--out', tmp_path / 'out', '--device', 'cpu'),
            *('--intrinsics', '277.1', '277.1', '159.5', '119.5'),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        check=False,
    )
    assert done.returncode == 1, done.stderr[-3000:]
    assert 'half.png' in done.stdout and '1 of 2 images' in done.stdout
    out = tmp_path / 'out' / 'good'
    assert not (tmp_path / 'out' / 'half').exists()

    assert {path.name for path in out.iterdir()} == {
        'panoptic_2d.png',
        'panoptic_2d_ids.png',
        'depth.png',
        'depth.exr',
        'volumes.npz',
        'mesh.glb',
        'mesh_instances.glb',
        'panel.png',
        'result.json',
    }
    depth = read_exr(out / 'depth.exr')
    ids = read_gray16(out / 'panoptic_2d_ids.png')
    assert depth.shape == ids.shape == (240, 320)
    assert (depth > 0).all()
    result = json.loads((out / 'result.json').read_text())
    assert set(np.unique(ids)) - {0} == {s['id'] for s in result['segments_2d']}
    geometry = read_npz(out / 'volumes.npz', 'geometry')
    semantic = read_npz(out / 'volumes.npz', 'semantic')
    panoptic = read_npz(out / 'volumes.npz', 'panoptic')
    assert geometry.shape == semantic.shape == panoptic.shape == (64, 64, 64)
    assert geometry.min() >= 0 and geometry.max() <= 3
    assert set(np.unique(panoptic)) - {0} <= {s['id'] for s in result['segments_3d']}
    assert result['grid']['voxel_size'] == 0.12
    mesh = trimesh.load(out / 'mesh.glb', force='mesh')
    assert len(mesh.faces) > 100
    assert read_image(out / 'panel.png').shape[2] == 3


def test_python_interface_takes_paths_and_arrays(
    config: Path, trained: dict[int, Path], rooms: Path, tmp_path: Path
):
    infer = PanopticReconstructionInferencer(config, trained[2], device='cpu')
    path = next((rooms / 'data').glob('synth-test-*/rgb_*.png'))
    from_path, from_array = infer([path, read_image(path)], batch_size=2)
    np.testing.assert_array_equal(
        from_path.pred_depth_map.depth, from_array.pred_depth_map.depth
    )
    assert from_path.pred_volume.tudf.shape == (64, 64, 64)
    written = write_results(from_path, read_image(path), tmp_path / 'results')
    assert written['panel'].is_file()


@pytest.mark.parametrize('size', [(9, 7), (200, 500)])
def test_images_of_other_sizes_work(
    size: tuple[int, int], config: Path, trained: dict[int, Path], tmp_path: Path
):
    path = tmp_path / 'odd.png'
    Image.fromarray(np.full((*size, 3), 90, dtype=np.uint8)).save(path)
    infer = PanopticReconstructionInferencer(config, trained[2], device='cpu')
    (sample,) = infer(path)
    assert np.isfinite(sample.pred_depth_map.depth.numpy()).all()


def test_errors_name_what_is_wrong(config: Path, tmp_path: Path):
    with pytest.raises(FileNotFoundError, match='no config at'):
        PanopticReconstructionInferencer(tmp_path / 'none.py')
    with pytest.raises(FileNotFoundError, match='no checkpoint at'):
        PanopticReconstructionInferencer(config, tmp_path / 'none.pth')
    with pytest.raises(ValueError, match=r'\(fx, fy, cx, cy\)'):
        intrinsics_matrix([1.0, 2.0])
    with pytest.raises(ValueError, match='positive focal'):
        intrinsics_matrix([0.0, 1.0, 2.0, 3.0])
    with pytest.raises(FileNotFoundError, match='fits no image'):
        find_images([str(tmp_path / '*.png')])


def test_every_image_gets_a_folder_of_its_own():
    paths = [Path('/a/x.png'), Path('/b/x.png'), Path('/b/y.png'), Path('/b/x.jpg')]
    assert folder_names(paths) == ['a_x', 'b_x', 'y', 'x_2']
