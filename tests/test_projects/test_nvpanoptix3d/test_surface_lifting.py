"""Pixels become columns of voxels around their depth."""

from __future__ import annotations

import pytest
import torch
from test_projects.test_nvpanoptix3d.lifting_inputs import (
    FRONT3D_K,
    camera_batch,
    single,
    view,
)

from mmp3d.structures import FrustumGrid
from projects.NvPanoptix3D.nvpanoptix3d.surface_lifting import SurfaceLifting

SMALL = FrustumGrid(dims=(32, 40, 24), voxel_size=0.25, depth_range=(0.5, 5.0))
SMALL_K = torch.tensor([[14.0, 0, 9.5], [0, 13.0, 5.5], [0, 0, 1]], dtype=torch.float64)


def _ramp(height: int, width: int) -> torch.Tensor:
    """A map whose channels are x and y of the place where it is read, 0..1."""
    y = (torch.arange(height) + 0.5) / height
    x = (torch.arange(width) + 0.5) / width
    return torch.stack(torch.meshgrid(x, y, indexing='xy'))[None]


def _lift_front3d_pixel(row: int, col: int, depth: float):
    """Lift one pixel of a 240x320 image, padded to 256 rows, in the published grid."""
    plane = torch.zeros(120, 160)
    plane[row, col] = depth
    inputs = camera_batch(FRONT3D_K, ((240, 320),), (256, 320), FrustumGrid())
    probs = _ramp(120, 160)[0].repeat(7, 1, 1)[:13]
    pyramid = [_ramp(13, 16), _ramp(26, 32), _ramp(52, 64)]
    lifting = SurfaceLifting(duplicates='all')
    return lifting(_ramp(104, 128), pyramid, [view(plane, probs)], inputs)


@pytest.mark.parametrize(
    ('row', 'col', 'depth', 'middle', 'first_offset'),
    [
        (60, 80, 2.0, (127, 127, 87), -2.6667),
        (0, 0, 0.4, (119, 121, 34), -3.0),
        (119, 159, 6.0, (241, 212, 220), None),
        (100, 10, 3.333, (71, 159, 131), -2.2333),
    ],
)
def test_published_voxels_of_a_pixel(row, col, depth, middle, first_offset):
    fine = _lift_front3d_pixel(row, col, depth).fine
    assert len(fine.coords) == 7
    # 3 voxels before, 3 behind.
    x, y, z = middle
    expected = [[0, x, y, z + k] for k in range(-3, 4)]
    assert fine.coords.tolist() == expected
    offsets = fine.feats[:, 0] * fine.feats[:, 1]
    torch.testing.assert_close(offsets.diff(), torch.ones(6), rtol=0, atol=1e-4)
    if first_offset is not None:
        assert offsets[0].item() == pytest.approx(first_offset, abs=1e-4)


def test_published_places_of_a_pixel():
    fine = _lift_front3d_pixel(60, 80, 2.0).fine
    encoder, probs = fine.feats[0, 2:4], fine.feats[0, 4:6]
    torch.testing.assert_close(encoder, torch.tensor([0.5, 0.46875]))
    torch.testing.assert_close(probs, torch.tensor([0.5, 0.5]))


@pytest.mark.parametrize(
    ('stride', 'row', 'col', 'xy', 'z', 'place'),
    [
        (2, 30, 40, (63, 63), range(41, 46), (0.3125, 0.28846)),
        (4, 15, 20, (31, 31), range(20, 23), (0.3125, 0.28846)),
        (8, 7, 10, (15, 15), range(10, 11), (0.3125, 0.26923)),
    ],
)
def test_published_coarse_levels(stride, row, col, xy, z, place):
    lifted = _lift_front3d_pixel(row * stride, col * stride, 2.0)
    level = {v.stride: v for v in lifted.coarse}[stride]
    assert level.coords.tolist() == [[0, *xy, k] for k in z]
    expected = torch.tensor(place).expand(len(level.coords), 2)
    torch.testing.assert_close(level.feats, expected, rtol=0, atol=1e-5)


def test_whole_map_sampling_reads_at_the_pixel_itself():
    plane = torch.full((12, 20), 2.0)
    inputs = camera_batch(SMALL_K, ((12, 20),), (16, 20), SMALL)
    lifting = SurfaceLifting(coarse_sampling='whole_map', duplicates='all')
    level = lifting(_ramp(8, 10), [_ramp(8, 10)], [view(plane)], inputs).coarse[0]
    last = level.feats[-1]  # row 5 of 6, column 9 of 10
    torch.testing.assert_close(last, torch.tensor([0.9, 5 / 6 * 12 / 16]))


def _random_batch():
    inputs = camera_batch(SMALL_K, ((12, 20), (10, 18)), (16, 20), SMALL)
    images = [view(6 * torch.rand(6, 10)) for _ in range(2)]
    return torch.rand(2, 3, 5, 7), [torch.rand(2, 4, 2, 3)], images, inputs


@pytest.mark.parametrize('duplicates', ['first', 'all'])
def test_a_batch_is_its_images_one_by_one(duplicates):
    encoder, (level,), images, inputs = _random_batch()
    lifting = SurfaceLifting(truncation=2, duplicates=duplicates)
    together = lifting(encoder, [level], images, inputs)
    assert together.fine.batch_size == 2
    for i in range(2):
        alone = lifting(
            encoder[i : i + 1], [level[i : i + 1]], images[i : i + 1], single(inputs, i)
        )
        for ours, theirs in (
            (together.fine, alone.fine),
            (together.coarse[0], alone.coarse[0]),
        ):
            rows = ours.coords[:, 0] == i
            torch.testing.assert_close(ours.coords[rows, 1:], theirs.coords[:, 1:])
            torch.testing.assert_close(ours.feats[rows], theirs.feats)


def test_of_equal_voxels_the_first_pixel_survives():
    encoder, levels, images, inputs = _random_batch()
    every = SurfaceLifting(duplicates='all')(encoder, levels, images, inputs).fine
    merged = SurfaceLifting()(encoder, levels, images, inputs).fine
    cells = every.coords.tolist()
    assert len(merged.coords) < len(cells)
    assert merged.coords.tolist() == sorted(map(list, {tuple(c) for c in cells}))
    for cell, feats in zip(merged.coords.tolist(), merged.feats, strict=True):
        torch.testing.assert_close(feats, every.feats[cells.index(cell)])


def test_gradients_reach_the_encoder_features():
    encoder, levels, images, inputs = _random_batch()
    encoder.requires_grad_()
    SurfaceLifting()(encoder, levels, images, inputs).fine.feats.sum().backward()
    assert encoder.grad.abs().sum() > 0


def test_without_a_usable_pixel_the_middle_one_stands_at_the_camera():
    inputs = camera_batch(SMALL_K, ((12, 20),), (16, 20), SMALL)
    plane = torch.full((6, 10), 9.0)  # beyond the grid
    lifted = SurfaceLifting(truncation=1, duplicates='all')(
        torch.rand(1, 3, 5, 7), [], [view(plane)], inputs
    )
    assert lifted.coarse == ()
    assert lifted.fine.coords.shape == (3, 4)
    assert lifted.fine.coords[:, 1:3].unique(dim=0).shape == (1, 2)


def test_truncation_zero_gives_one_voxel_per_pixel():
    inputs = camera_batch(SMALL_K, ((12, 20),), (16, 20), SMALL)
    lifted = SurfaceLifting(truncation=0, duplicates='all')(
        torch.rand(1, 3, 5, 7), [], [view(torch.full((6, 10), 2.0))], inputs
    )
    assert len(lifted.fine.coords) == 60


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'truncation': -1}, 'truncation of SurfaceLifting must be 0 or more'),
        ({'coarse_sampling': 'publised'}, "did you mean 'published'"),
        ({'duplicates': 'last'}, 'duplicates of SurfaceLifting must be one of'),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SurfaceLifting(**options)
