"""Matrices and points."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def apply_matrix(
    matrix: Float[Tensor, '*#B 3 3'], points: Float[Tensor, '*#B N 3']
) -> Float[Tensor, '*_ N 3']:
    """Multiply each point (a column vector) by a matrix, in the points' precision.

    A matrix product would be rounded by autocast and by TF32, which moves points by
    whole voxels.
    """
    x, y, z = points.unbind(dim=-1)
    rows = matrix[..., None, :, :].unbind(dim=-2)
    return torch.stack(
        [row[..., 0] * x + row[..., 1] * y + row[..., 2] * z for row in rows], dim=-1
    )
