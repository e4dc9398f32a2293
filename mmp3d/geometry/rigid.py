"""Rigid transforms: 4x4, acting on column vectors, named after both ends (``a2b``)."""

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


def transform_points(
    a2b: Float[Tensor, '*#B 4 4'], points: Float[Tensor, '*#B N 3']
) -> Float[Tensor, '*_ N 3']:
    """Express points of frame a in frame b. Any affine transform will do."""
    return apply_matrix(a2b[..., :3, :3], points) + a2b[..., None, :3, 3]


def invert_rigid(a2b: Float[Tensor, '*B 4 4']) -> Float[Tensor, '*B 4 4']:
    """Give ``b2a`` of a rotation with a translation (no scale, no shear)."""
    rotation = a2b[..., :3, :3].mT
    b2a = a2b.clone()
    b2a[..., :3, :3] = rotation
    b2a[..., :3, 3] = -(rotation @ a2b[..., :3, 3:])[..., 0]
    return b2a


def rotation_from_quaternion(
    quaternion: Float[Tensor, '*B 4'],
) -> Float[Tensor, '*B 3 3']:
    """Give the rotation of a quaternion.

    Args:
        quaternion: (x, y, z, w), scalar last as in pose encodings; any length but 0.
    """
    x, y, z, w = torch.nn.functional.normalize(quaternion, dim=-1).unbind(dim=-1)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
