"""The camera of the backbone takes the place of a stand-in."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mmp3d.geometry import UnknownCameraError, frustum_mask
from mmp3d.models.detectors import use_predicted_cameras
from mmp3d.structures import CameraBatch, FrustumGrid, PanopticReconstructionSample

GRID = FrustumGrid(dims=(16, 24, 8), voxel_size=0.5, depth_range=(1.0, 4.0))
SIZES = ((48, 64), (40, 64), (48, 60))


def _batch(with_mask: bool = True) -> CameraBatch:
    mask = torch.zeros(3, *GRID.dims, dtype=torch.bool) if with_mask else None
    return CameraBatch(
        images=torch.zeros(3, 1, 3, 64, 64),
        K=torch.eye(3, dtype=torch.float64).expand(3, 1, 3, 3),
        image_sizes=SIZES,
        grid=GRID,
        frustum_mask=mask,
    )


def _samples(*sources: str | None) -> list[PanopticReconstructionSample]:
    samples = []
    for i, source in enumerate(sources):
        meta = dict(img_path=f'{i}.png', K=np.eye(3))
        if source is not None:
            meta['intrinsics_source'] = source
        samples.append(PanopticReconstructionSample(metainfo=meta))
    return samples


def _poses(*fields_of_view: tuple[float, float]) -> torch.Tensor:
    poses = torch.zeros(len(fields_of_view), 9)
    poses[:, 7:] = torch.tensor(fields_of_view)
    return poses


RIGHT = (math.pi / 2, 2 * math.atan(0.5))  # K of 64 x 64: fy = 32, fx = 64


def test_predicted_cameras_replace_k_and_mask_where_wanted():
    samples = _samples('user', 'camera_head', 'camera_head')
    inputs = _batch()
    result = use_predicted_cameras(inputs, _poses(RIGHT, RIGHT, RIGHT), samples)
    # Focal lengths of the padded 64 x 64 image, centre of the unpadded one.
    expected = torch.tensor([[64, 0, 31.5], [0, 32, 19.5], [0, 0, 1]]).double()
    torch.testing.assert_close(result.K[1, 0], expected, rtol=0, atol=1e-5)
    assert result.K[2, 0, 0, 2] == 29.5
    np.testing.assert_allclose(samples[1].K, expected, atol=1e-5)
    assert torch.equal(
        result.frustum_mask[1], frustum_mask(result.K[1, 0], (40, 64), GRID)
    )
    assert result.frustum_mask[1].any()
    # The first one keeps what it came with, and so does the argument.
    assert torch.equal(result.K[0], inputs.K[0])
    assert not result.frustum_mask[0].any() and not inputs.frustum_mask.any()
    assert [s.intrinsics_source for s in samples] == ['user'] + 2 * ['camera_head']


def test_an_implausible_field_of_view_leaves_the_stand_in():
    samples = _samples('camera_head', 'camera_head', 'camera_head')
    poses = _poses((0.0, 1.0), (1.0, 3.0), (math.nan, 1.0))
    result = use_predicted_cameras(_batch(with_mask=False), poses, samples)
    assert torch.equal(result.K, _batch().K)
    assert result.frustum_mask is None
    assert [s.intrinsics_source for s in samples] == 3 * ['dataset']


def test_nothing_changes_where_nobody_asks():
    inputs = _batch()
    assert use_predicted_cameras(inputs, None, _samples(None, 'user', 'exif')) is inputs


def test_a_model_without_camera_head_is_named():
    samples = _samples('user', 'camera_head', None)
    with pytest.raises(UnknownCameraError, match=r'1\.png: .* no camera head'):
        use_predicted_cameras(_batch(), None, samples)
