"""Pinhole cameras: intrinsics after image operations, projection and its inverse.

Pixel (row r, column c) has its centre at (u, v) = (c, r).
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mmp3d.geometry.matrices import apply_matrix
from mmp3d.structures import PLAUSIBLE_FIELD_OF_VIEW

Intrinsics = Float[Tensor | np.ndarray, '*B n n']


class UnknownCameraError(ValueError):
    """The camera of an image is not to be had in the way that was asked for.

    Tools that go through many images may report it and go on with the next one.
    """


def _copy(K: Intrinsics) -> Intrinsics:
    if tuple(K.shape[-2:]) != (3, 3):
        raise ValueError(
            f'K must be 3x3 in pixels, got {tuple(K.shape)}. Reduce a 4x4 matrix by '
            'K[..., :3, :3].'
        )
    return K.clone() if isinstance(K, Tensor) else np.array(K)


def scale_intrinsics(
    K: Intrinsics,
    from_size: tuple[int, int],
    to_size: tuple[int, int],
    corner_aligned: bool = False,
) -> Intrinsics:
    """Give the intrinsics of a resized image.

    Args:
        K: In pixels of ``from_size``; tensor or array.
        from_size: (height, width) before the resize.
        to_size: (height, width) after it.
        corner_aligned: Map the centres of the corner pixels onto each other: the focal
            length scales by the ratio of the sizes, the principal point by the ratio
            of the sizes less one. The published models scale that way.

    Source: NVPanoptix3D; ``corner_aligned`` goes back to the 3D-Front loaders.
    """
    (h, w), (new_h, new_w) = from_size, to_size
    scaled = _copy(K)
    scaled[..., 0, :] *= new_w / w
    scaled[..., 1, :] *= new_h / h
    if corner_aligned:
        scaled[..., 0, 2] = K[..., 0, 2] * ((new_w - 1) / max(w - 1, 1))
        scaled[..., 1, 2] = K[..., 1, 2] * ((new_h - 1) / max(h - 1, 1))
    return scaled


def crop_intrinsics(K: Intrinsics, top: int, left: int) -> Intrinsics:
    """Give the intrinsics after ``top`` rows and ``left`` columns were cut off."""
    cropped = _copy(K)
    cropped[..., 0, 2] -= left
    cropped[..., 1, 2] -= top
    return cropped


def flip_intrinsics(K: Intrinsics, width: int) -> Intrinsics:
    """Give the intrinsics of the image mirrored left to right.

    The world is mirrored with it: the point (x, y, z) becomes (-x, y, z).

    Args:
        K: In pixels; tensor or array.
        width: Width of the image in pixels.
    """
    flipped = _copy(K)
    flipped[..., 0, 1] *= -1
    flipped[..., 0, 2] = (width - 1) - K[..., 0, 2]
    return flipped


def flip_intrinsics_vertically(K: Intrinsics, height: int) -> Intrinsics:
    """Give the intrinsics of the image turned upside down by a mirror.

    The world is mirrored with it: the point (x, y, z) becomes (x, -y, z).

    Args:
        K: In pixels; tensor or array.
        height: Height of the image in pixels.
    """
    flipped = _copy(K)
    flipped[..., 0, 1] *= -1
    flipped[..., 1, 2] = (height - 1) - K[..., 1, 2]
    return flipped


def project_points(
    points: Float[Tensor, '*B N 3'], K: Float[Tensor, '*B 3 3']
) -> Float[Tensor, '*B N 2']:
    """Project camera points to pixels (u, v).

    Args:
        points: In metres in the camera frame. Points with z = 0 give infinities.
        K: Intrinsics in pixels.
    """
    homogeneous = apply_matrix(K.to(points.dtype), points)
    return homogeneous[..., :2] / homogeneous[..., 2:]


def unproject_depth(
    depth: Float[Tensor, '*B H W'], K: Float[Tensor, '*B 3 3']
) -> Float[Tensor, '*B H W 3']:
    """Lift every pixel of a depth map to a point.

    Args:
        depth: z-depth in metres; 0 where unknown.
        K: Intrinsics in pixels at the resolution of ``depth``.

    Returns:
        Points in metres in the camera frame. Unknown pixels become the origin.

    Raises:
        ValueError: If ``K`` is singular.

    Source: Hartley and Zisserman, Multiple View Geometry, 2nd ed., section 6.1.
    """
    height, width = depth.shape[-2:]
    rays = apply_matrix(_inverse(K).to(depth.dtype), pixel_grid(height, width, depth))
    return rays.unflatten(-2, (height, width)) * depth[..., None]


def pixel_grid(height: int, width: int, like: Tensor) -> Float[Tensor, 'N 3']:
    """Homogeneous pixels (u, v, 1), row by row, in the dtype and device of ``like``."""
    rows = torch.arange(height, dtype=like.dtype, device=like.device)
    cols = torch.arange(width, dtype=like.dtype, device=like.device)
    v, u = torch.meshgrid(rows, cols, indexing='ij')
    return torch.stack((u, v, torch.ones_like(u)), dim=-1).flatten(0, 1)


def _inverse(K: Float[Tensor, '*B 3 3']) -> Float[Tensor, '*B 3 3']:
    inverse, info = torch.linalg.inv_ex(K)
    if info.any():
        raise ValueError(
            f'K must be invertible, got a singular matrix: {K.tolist()}. Both focal '
            'lengths must be other than 0.'
        )
    return inverse


def intrinsics_from_pose_encoding(
    pose_encoding: Float[Tensor, '*B 9'],
    image_size: tuple[int, int],
    principal_point: tuple[float, float] | None = None,
) -> Float[Tensor, '*B 3 3']:
    """Turn the field of view that the camera head predicts into intrinsics.

    Args:
        pose_encoding: Translation, quaternion, field of view (vertical, horizontal) in
            radians.
        image_size: (height, width) of the image that the backbone saw, padding
            included. As the field of view covers it all, any resolution of it will do:
            the result is in pixels of this size.
        principal_point: (cx, cy) in pixels. ``None``: the centre (width / 2,
            height / 2) as published, which is off the true centre of an image that
            was padded at the bottom.

    Source: VGGT, pose encoding ``absT_quaR_FoV``.
    """
    height, width = image_size
    cx, cy = principal_point or (width / 2, height / 2)
    fov_v, fov_h = pose_encoding[..., 7], pose_encoding[..., 8]
    K = pose_encoding.new_zeros((*pose_encoding.shape[:-1], 3, 3))
    K[..., 0, 0] = 0.5 * width / torch.tan(0.5 * fov_h)
    K[..., 1, 1] = 0.5 * height / torch.tan(0.5 * fov_v)
    K[..., 0, 2] = cx
    K[..., 1, 2] = cy
    K[..., 2, 2] = 1
    return K


def is_plausible_pose_encoding(pose_encoding: Float[Tensor, '9']) -> bool:
    """Whether both fields of view are such as an image can have; false for NaN."""
    narrowest, widest = PLAUSIBLE_FIELD_OF_VIEW
    field_of_view = pose_encoding[7:]
    return bool(((field_of_view >= narrowest) & (field_of_view <= widest)).all())


def image_centre(size: tuple[int, int]) -> tuple[float, float]:
    """The (u, v) half-way between the outermost pixels of a (height, width) image."""
    return (size[1] - 1) / 2, (size[0] - 1) / 2
