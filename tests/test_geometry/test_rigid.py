"""Rigid transforms."""

from __future__ import annotations

import torch

from mmp3d.geometry import (
    apply_matrix,
    invert_rigid,
    rotation_from_quaternion,
    transform_points,
)


def _quarter_turn_about_z() -> torch.Tensor:
    half = 0.5**0.5
    a2b = torch.eye(4)
    a2b[:3, :3] = rotation_from_quaternion(torch.tensor([0.0, 0, half, half]))
    a2b[:3, 3] = torch.tensor([1.0, 2, 3])
    return a2b


def test_a_quarter_turn_takes_x_to_y():
    points = transform_points(_quarter_turn_about_z(), torch.tensor([[1.0, 0, 0]]))
    torch.testing.assert_close(points, torch.tensor([[1.0, 3, 3]]))


def test_length_of_a_quaternion_does_not_matter():
    quaternion = torch.tensor([[0.1, -0.7, 0.3, 0.5], [1.0, 0, 0, 0]])
    rotation = rotation_from_quaternion(quaternion)
    torch.testing.assert_close(rotation_from_quaternion(3 * quaternion), rotation)
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).expand(2, 3, 3))


def test_the_inverse_goes_back():
    a2b = _quarter_turn_about_z()
    points = torch.rand(5, 3)
    back = transform_points(invert_rigid(a2b), transform_points(a2b, points))
    torch.testing.assert_close(back, points)


def test_a_batch_of_matrices_meets_a_batch_of_points():
    matrices, points = torch.rand(2, 3, 3), torch.rand(2, 5, 3)
    expected = torch.einsum('bij,bnj->bni', matrices, points)
    torch.testing.assert_close(apply_matrix(matrices, points), expected)
