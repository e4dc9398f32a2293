"""Intrinsics follow the image; projection and its inverse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mmp3d.geometry import (
    crop_intrinsics,
    flip_intrinsics,
    intrinsics_from_pose_encoding,
    project_points,
    scale_intrinsics,
    unproject_depth,
)

FRONT3D_K = torch.tensor(
    [[277.1281435, 0, 159.5], [0, 277.1281435, 119.5], [0, 0, 1]], dtype=torch.float64
)


def test_a_resize_scales_the_rows():
    K = torch.tensor([[100.0, 0, 3], [0, 120.0, 2], [0, 0, 1]])
    scaled = scale_intrinsics(K, (4, 6), (8, 9))
    expected = torch.tensor([[150.0, 0, 4.5], [0, 240.0, 4], [0, 0, 1]])
    torch.testing.assert_close(scaled, expected)
    assert K[0, 0] == 100  # the argument stays as it is


def test_a_corner_aligned_resize_keeps_the_corner_pixels():
    scaled = scale_intrinsics(FRONT3D_K, (240, 320), (120, 160), corner_aligned=True)
    expected = [[138.56407175, 0, 79.5], [0, 138.56407175, 59.5], [0, 0, 1]]
    np.testing.assert_allclose(scaled, expected, rtol=0, atol=1e-9)


def test_arrays_and_batches_are_scaled_like_tensors():
    K = np.stack([FRONT3D_K.numpy(), 2 * FRONT3D_K.numpy()])
    scaled = scale_intrinsics(K, (240, 320), (120, 160))
    assert isinstance(scaled, np.ndarray)
    np.testing.assert_allclose(scaled[1, 0], FRONT3D_K[0], rtol=0, atol=1e-9)


def test_a_crop_moves_the_principal_point():
    cropped = crop_intrinsics(FRONT3D_K, top=20, left=50)
    assert cropped[0, 2] == 109.5
    assert cropped[1, 2] == 99.5
    assert cropped[0, 0] == FRONT3D_K[0, 0]


def test_a_flip_mirrors_the_pixels_of_mirrored_points():
    K = torch.tensor([[100.0, 0, 3], [0, 120.0, 2], [0, 0, 1]])
    points = torch.tensor([[0.1, 0.2, 2.0], [-0.3, 0.1, 1.5]])
    mirrored = points * torch.tensor([-1.0, 1, 1])
    u, v = project_points(points, K).unbind(-1)
    flipped = project_points(mirrored, flip_intrinsics(K, width=11))
    torch.testing.assert_close(flipped, torch.stack((10 - u, v), dim=-1))


def test_unprojected_pixels_project_back():
    K = torch.tensor([[[100.0, 0, 3], [0, 120.0, 2], [0, 0, 1]]])
    depth = torch.rand(1, 5, 7) + 0.5
    uv = project_points(unproject_depth(depth, K).flatten(1, 2), K)
    torch.testing.assert_close(uv[0, 7 + 2], torch.tensor([2.0, 1.0]))  # row 1, col 2


def test_principal_point_lies_on_the_axis():
    K = torch.tensor([[[100.0, 0, 2], [0, 100.0, 1], [0, 0, 1]]])
    points = unproject_depth(torch.full((1, 3, 5), 2.0), K)
    torch.testing.assert_close(points[0, 1, 2], torch.tensor([0.0, 0.0, 2.0]))


def test_unknown_depth_becomes_the_origin():
    points = unproject_depth(torch.zeros(2, 3), FRONT3D_K.float())
    assert points.shape == (2, 3, 3)
    assert not points.any()


def test_field_of_view_gives_the_focal_length():
    encoding = torch.zeros(2, 9)
    encoding[:, 7] = 2 * math.atan(0.5)  # vertical: height / fy = 1
    encoding[:, 8] = 2 * math.atan(1.0)  # horizontal: width / fx = 2
    K = intrinsics_from_pose_encoding(encoding, (256, 320))
    expected = torch.tensor([[160.0, 0, 160], [0, 256, 128], [0, 0, 1]])
    torch.testing.assert_close(K, expected.expand(2, 3, 3))


def test_principal_point_of_a_padded_image_can_be_given():
    encoding = torch.full((9,), 1.0)
    K = intrinsics_from_pose_encoding(encoding, (256, 320), (159.5, 119.5))
    assert K[0, 2] == 159.5
    assert K[1, 2] == 119.5


def test_a_4x4_matrix_is_refused():
    with pytest.raises(ValueError, match=r'K must be 3x3 .* Reduce a 4x4 matrix'):
        scale_intrinsics(torch.eye(4), (2, 3), (4, 6))


def test_a_singular_matrix_is_refused():
    with pytest.raises(ValueError, match='K must be invertible'):
        unproject_depth(torch.ones(2, 3), torch.zeros(3, 3))
