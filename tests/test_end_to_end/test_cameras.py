"""Images of any shape, cameras from any source: what reaches the results."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import ExifTags, Image

from mmp3d.apis import PanopticReconstructionInferencer, write_results
from mmp3d.fileio import read_exr, read_gray16, read_image, read_npz
from mmp3d.geometry import UnknownCameraError, frustum_mask
from tools import infer as tool

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'nvpanoptix3d'


def _config(stage: int, camera_head: bool = False) -> Config:
    cfg = Config.fromfile(CONFIGS / f'nvpanoptix3d_tiny_stage{stage}_synthrooms.py')
    cfg.test_dataloader.dataset.grid.update(dims=(64, 64, 64), voxel_size=0.12)
    if camera_head:
        head = dict(type='CameraHead', trunk_depth=1, num_heads=6)
        cfg.model.backbone.camera_head = head
    return cfg


def _grey(height: int, width: int) -> np.ndarray:
    return np.random.randint(0, 256, (height, width, 3), dtype=np.uint8)


def _predict(infer: PanopticReconstructionInferencer, fov_v: float, fov_h: float):
    """Let the camera head predict these fields of view, in radians."""
    head = infer.model.backbone.camera_head
    last = list(head.pose_branch.parameters())
    with torch.no_grad():
        for parameter in last:
            parameter.zero_()
        bias = next(p for p in reversed(last) if p.shape == (9,))
        bias[7:] = torch.tensor([fov_v, fov_h]) / head.num_iterations


def test_a_predicted_camera_reaches_lifting_and_files(tmp_path: Path):
    cfg = _config(2, camera_head=True)
    infer = PanopticReconstructionInferencer(cfg, device='cpu', camera='camera_head')
    _predict(infer, 2 * math.atan(0.5), 2 * math.atan(0.8))
    seen = []
    infer.model.frustum_branch.register_forward_pre_hook(
        lambda _, arguments: seen.append(arguments[2])
    )
    image = _grey(240, 320)
    (sample,) = infer(image)
    # 320 x 256 pixels with padding: 160 / 0.8 and 128 / 0.5.
    expected = np.array([[200.0, 0, 159.5], [0, 256.0, 119.5], [0, 0, 1]])
    np.testing.assert_allclose(sample.K, expected, rtol=1e-5)
    (inputs,) = seen
    np.testing.assert_allclose(inputs.K[0, 0], expected, rtol=1e-5)
    mask = frustum_mask(inputs.K[0, 0], (240, 320), inputs.grid)
    assert torch.equal(inputs.frustum_mask[0], mask)

    write_results(sample, image, tmp_path)
    result = json.loads((tmp_path / 'result.json').read_text())
    assert result['intrinsics_source'] == 'camera_head'
    np.testing.assert_allclose(result['K'], expected, rtol=1e-5)
    np.testing.assert_allclose(read_npz(tmp_path / 'volumes.npz', 'K'), result['K'])


def test_an_implausible_prediction_is_refused_or_replaced():
    cfg = _config(1, camera_head=True)
    infer = PanopticReconstructionInferencer(cfg, device='cpu', camera='camera_head')
    _predict(infer, 0.0, 1.0)
    with pytest.raises(UnknownCameraError, match=r'field of view of 0\.0 x 57\.3'):
        infer(_grey(24, 32))
    infer.camera = 'auto'  # with trained weights
    (sample,) = infer(_grey(24, 32))
    assert sample.intrinsics_source == 'dataset'
    assert sample.K[0, 0] == 277.1281435


def test_a_camera_head_is_asked_only_if_it_is_there_and_trained():
    with pytest.raises(ValueError, match='camera_head of the config is None'):
        PanopticReconstructionInferencer(_config(1), camera='camera_head')
    cfg = _config(1, camera_head=True)
    untrained = PanopticReconstructionInferencer(cfg, device='cpu')
    packed = untrained.preprocess(_grey(24, 32))
    assert packed['data_samples'].intrinsics_source == 'dataset'


def test_any_shape_keeps_its_aspect_ratio_in_one_batch(tmp_path: Path):
    infer = PanopticReconstructionInferencer(_config(2), device='cpu')
    images = [_grey(64, 48), _grey(20, 100), _grey(1, 1)]
    samples = infer(images, batch_size=3)
    sizes = [(240, 180), (64, 320), (240, 240)]
    for sample, image, size in zip(samples, images, sizes, strict=True):
        assert sample.ori_shape == image.shape[:2]
        assert sample.pred_depth_map.depth.shape == (1, *size)
        assert sample.pred_panoptic_seg.ids.shape == size
        assert np.isfinite(sample.pred_depth_map.depth.numpy()).all()
        np.testing.assert_allclose(
            sample.K[:2, 2], [(size[1] - 1) / 2, (size[0] - 1) / 2]
        )
    write_results(samples[1], images[1], tmp_path)
    result = json.loads((tmp_path / 'result.json').read_text())
    assert result['original_image_size'] == [20, 100]
    assert result['image_size'] == [64, 320]
    assert read_exr(tmp_path / 'depth.exr').shape == (64, 320)
    assert read_image(tmp_path / 'panel.png').shape[1] == 1200


def test_images_get_the_size_of_the_test_pipeline():
    cfg = _config(1)
    dataset = cfg.test_dataloader.dataset
    dataset.target_size = (480, 640)
    resize = dict(type='ShortestEdgeResize', short_edges=(360,), max_long_edge=960)
    dataset.pipeline.insert(1, resize)
    packed = PanopticReconstructionInferencer(cfg, device='cpu').preprocess(
        _grey(240, 320)
    )
    assert packed['inputs']['img'].shape == (3, 360, 480)
    expected = 1.5 * np.array([[277.1281435, 0, 159.5], [0, 277.1281435, 119.5]])
    np.testing.assert_allclose(packed['inputs']['K'][:2], expected)


def test_given_cameras_may_look_anywhere():
    infer = PanopticReconstructionInferencer(_config(2), device='cpu')
    # Excentric, and so wide that the frustum does not fit into the grid.
    for K, moved in (
        [(277.0, 277.0, 40.0, 30.0), True],
        [(60.0, 60.0, 159.5, 119.5), False],
    ):
        (sample,) = infer(_grey(240, 320), intrinsics=K)
        assert sample.intrinsics_source == 'user'
        assert (sample.grid.origin is not None) == moved
        assert torch.isfinite(sample.pred_volume.tudf).all()
    # One camera in pixels of images of unlike size: unlike grids, so unlike batches.
    both = infer(
        [_grey(240, 320), _grey(300, 320)],
        intrinsics=(277.0, 277.0, 40.0, 30.0),
        batch_size=2,
    )
    assert both[0].grid != both[1].grid


def test_the_tool_skips_images_that_tell_no_camera(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    cfg = _config(1)
    cfg.dump(tmp_path / 'stage1.py')
    model = PanopticReconstructionInferencer(cfg, device='cpu').model
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'weights.pth')
    photos = tmp_path / 'photos'
    photos.mkdir()
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = 26
    Image.fromarray(_grey(40, 30)).save(photos / 'told.jpg', exif=exif)
    Image.fromarray(_grey(40, 30)).save(photos / 'untold.png')
    files = ['stage1.py', 'weights.pth', 'photos']
    paths = [str(tmp_path / name) for name in files]
    options = ['--camera', 'exif', '--device', 'cpu', '--out', str(tmp_path / 'out')]
    monkeypatch.setattr(sys, 'argv', ['infer.py', *paths, *options, '--fit', 'pad'])
    assert tool.main() == 1
    assert '1 of 2 images' in capsys.readouterr().out
    assert not (tmp_path / 'out' / 'untold').exists()
    result = json.loads((tmp_path / 'out' / 'told' / 'result.json').read_text())
    assert result['intrinsics_source'] == 'exif'
    assert result['image_size'] == [240, 180]
    focal = 26 / 43.266615 * 50 * 6  # six times as large as the file
    assert result['K'][0][0] == pytest.approx(focal, rel=1e-6)

    # Stretched, and brought back to the size of the file: the same field of view.
    options += ['--fit', 'stretch', '--size', 'original']
    monkeypatch.setattr(sys, 'argv', ['infer.py', *paths, *options])
    assert tool.main() == 1
    folder = tmp_path / 'out' / 'told'
    result = json.loads((folder / 'result.json').read_text())
    assert result['image_size'] == result['original_image_size'] == [40, 30]
    assert read_exr(folder / 'depth.exr').shape == (40, 30)
    assert read_gray16(folder / 'panoptic_2d_ids.png').shape == (40, 30)
    np.testing.assert_allclose(
        result['K'], [[focal / 6, 0, 14.95], [0, focal / 6, 19.9], [0, 0, 1]], rtol=0.01
    )
