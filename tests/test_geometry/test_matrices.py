"""Matrices and points."""

from __future__ import annotations

import torch

from mmp3d.geometry import apply_matrix


def test_a_batch_of_matrices_meets_a_batch_of_points():
    matrices, points = torch.rand(2, 3, 3), torch.rand(2, 5, 3)
    expected = torch.einsum('bij,bnj->bni', matrices, points)
    torch.testing.assert_close(apply_matrix(matrices, points), expected)
