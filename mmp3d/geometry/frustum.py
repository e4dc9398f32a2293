"""Voxel grids in front of a camera: where they stand, and what the camera sees of them.

Two families of lattices live here, on purpose:

- The lattice of the data (``voxel_points``, ``frustum_mask``): voxel index i stands at
  ``grid.origin_metres + i * grid.voxel_size``. Ground truth and predictions use it.
- The lattices of the published liftings (``camera_to_grid``): the bounding box of the
  viewing frustum, centred in the grid. Each lifting rounds differently, and both are
  off the data's lattice by about one voxel; the released weights know these shifts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mmp3d.geometry.matrices import apply_matrix
from mmp3d.structures import FrustumGrid


@dataclass(frozen=True)
class CameraToGrid:
    """The viewing frustum's bounding box, centred in a grid.

    Attributes:
        corners: Corners of the frustum in metres in the camera frame: the near plane,
            then the far plane, each counter-clockwise from the upper left.
        minimum: Smallest corner of the bounding box in voxels.
        box_dims: Number of voxels that the box takes along (x, y, z), a whole number.
        padding: Voxels between the grid's first face and the box; may end in one half.
        voxel_size: In metres.
    """

    corners: Float[Tensor, '*B 8 3']
    minimum: Float[Tensor, '*B 3']
    box_dims: Float[Tensor, '*B 3']
    padding: Float[Tensor, '*B 3']
    voxel_size: float

    @property
    def cam2box(self) -> Float[Tensor, '*B 4 4']:
        """Metres in the camera frame to voxels from the box's smallest corner."""
        scale = torch.eye(4, dtype=self.minimum.dtype, device=self.minimum.device)
        scale[:3] /= self.voxel_size
        matrix = scale.repeat(*self.minimum.shape[:-1], 1, 1)
        matrix[..., :3, 3] = -self.minimum
        return matrix


def camera_to_grid(
    K: Float[Tensor, '*B 3 3'],
    image_size: tuple[int, int],
    grid: FrustumGrid,
    stride: int = 1,
) -> CameraToGrid:
    """Centre the viewing frustum of a camera in a grid.

    Args:
        K: Intrinsics in pixels of ``image_size``. The result has their dtype.
        image_size: (height, width).
        grid: Its dims, voxel size and depth range; its origin is not used.
        stride: Edge of a cell in voxels of ``grid``. What the result calls voxels are
            these cells.

    Source: NVPanoptix3D, frustum geometry; Panoptic 3D Scene Reconstruction (P3D).
    """
    height, width = image_size
    near, far = grid.depth_range
    corners = [
        (u * d, v * d, d)
        for d in (near, far)
        for u, v in ((0, 0), (0, height), (width, height), (width, 0))
    ]
    corners = torch.tensor(corners, dtype=K.dtype, device=K.device)
    corners = apply_matrix(torch.linalg.inv(K), corners)
    voxel_size = grid.voxel_size * stride
    minimum = corners.amin(dim=-2) / voxel_size
    maximum = corners.amax(dim=-2) / voxel_size
    box_dims = (maximum - minimum).ceil()
    dims = [n // stride for n in grid.dims]
    dims = torch.tensor(dims, dtype=K.dtype, device=K.device)
    return CameraToGrid(corners, minimum, box_dims, (dims - box_dims) / 2, voxel_size)


def centre_grid(
    K: Float[Tensor | np.ndarray, '3 3'],
    image_size: tuple[int, int],
    grid: FrustumGrid,
) -> FrustumGrid:
    """Move a grid by whole voxels to where the liftings think that it is.

    They centre the viewing frustum in the grid, and never look at its origin. A camera
    with its principal point in the middle of the image leaves the grid where it is.

    Args:
        K: Intrinsics in pixels of ``image_size``; tensor or array.
        image_size: (height, width) without padding.
        grid: The grid of a camera whose principal point is central.
    """
    placed = camera_to_grid(
        torch.as_tensor(K).to('cpu', torch.float64), image_size, grid
    )
    extent = torch.stack((placed.corners.amin(dim=0), placed.corners.amax(dim=0)))
    half = torch.tensor(grid.dims, dtype=torch.float64) / 2
    wanted = extent.mean(dim=0) / grid.voxel_size - half
    origin = torch.tensor(grid.origin_metres, dtype=torch.float64) / grid.voxel_size
    shift = (wanted - origin).round()
    if not shift.any():
        return grid
    x, y, z = (origin + shift).tolist()
    return replace(grid, origin=(x, y, z))


def voxel_axes(
    grid: FrustumGrid, dtype: torch.dtype = torch.float64
) -> tuple[Float[Tensor, ' X'], Float[Tensor, ' Y'], Float[Tensor, ' Z']]:
    """Coordinates in metres of the voxels along each axis of the data's lattice."""
    x, y, z = (
        (start + grid.voxel_size * torch.arange(n, dtype=torch.float64)).to(dtype)
        for start, n in zip(grid.origin_metres, grid.dims, strict=True)
    )
    return x, y, z


def voxel_points(
    grid: FrustumGrid, dtype: torch.dtype = torch.float32
) -> Float[Tensor, 'X Y Z 3']:
    """Camera points in metres of all voxels of the data's lattice.

    Voxel (i, j, k) stands at ``grid.origin_metres + (i, j, k) * grid.voxel_size``.
    Takes 200 MB for 256 voxels in float32; ``voxel_axes`` holds the same in three rows.
    """
    return torch.stack(torch.meshgrid(*voxel_axes(grid, dtype), indexing='ij'), dim=-1)


def frustum_mask(
    K: Float[Tensor | np.ndarray, '3 3'],
    image_size: tuple[int, int],
    grid: FrustumGrid,
) -> Bool[Tensor, 'X Y Z']:
    """Mark the voxels of the data's lattice that project into the image.

    A voxel is inside if its depth is within ``grid.depth_range`` (both ends included)
    and its pixel (u, v) is within ``[0, width) x [0, height)``.

    Args:
        K: Intrinsics in pixels of ``image_size``; tensor or array.
        image_size: (height, width) without padding.
        grid: The voxel grid.

    Source: NVPanoptix3D, predict data set.
    """
    K = torch.as_tensor(K).to('cpu', torch.float64)
    height, width = image_size
    near, far = grid.depth_range
    x, y, z = voxel_axes(grid)
    z_inside = ((z >= near) & (z <= far)).nonzero()[:, 0]
    z = z[z_inside]
    mask = torch.zeros(grid.dims, dtype=torch.bool)
    u = (K[0, 0] * x[:, None] + K[0, 2] * z) / z  # X Z
    v = (K[1, 1] * y[:, None] + K[1, 2] * z) / z  # Y Z
    rows = (v >= 0) & (v < height)
    if K[0, 1] == 0:
        columns = (u >= 0) & (u < width)
        mask[:, :, z_inside] = columns[:, None] & rows[None]
        return mask
    u = u[:, None] + K[0, 1] * (y[:, None] / z)  # X Y Z
    mask[:, :, z_inside] = (u >= 0) & (u < width) & rows[None]
    return mask


@dataclass(frozen=True)
class VisibleVoxels:
    """Voxels that project into an image plane, sorted by (x, y, z).

    Attributes:
        coords: Indices (x, y, z).
        uv: Pixel of each, not rounded.
        depth: z-depth in metres.
    """

    coords: Int[Tensor, 'N 3']
    uv: Float[Tensor, 'N 2']
    depth: Float[Tensor, ' N']

    def cells(self, planes: DepthPlanes) -> Int[Tensor, ' N']:
        """Flat index of each voxel's cell (plane, row, column)."""
        height, width = planes.size
        u, v = self.uv.long().unbind(dim=-1)
        return (planes.index(self.depth) * height + v) * width + u


@dataclass(frozen=True)
class DepthPlanes:
    """Slices of equal thickness in front of an image plane.

    Attributes:
        num_planes: Plane p covers the depths ``[p, p + 1) * far / num_planes``.
        far: In metres. Deeper points belong to the last plane.
        size: (height, width) of the image plane.
    """

    num_planes: int
    far: float
    size: tuple[int, int]

    def index(self, depth: Float[Tensor, '*N']) -> Int[Tensor, '*N']:
        """Plane of a depth in metres."""
        # Differs: the reference writes to plane P of P at exactly the far depth.
        return (depth * self.num_planes / self.far).long().clamp(0, self.num_planes - 1)


def visible_voxels(
    K: Float[Tensor, '3 3'],
    plane_size: tuple[int, int],
    grid: FrustumGrid,
    frustum_mask: Bool[Tensor, 'X Y Z'],
) -> VisibleVoxels:
    """Project the voxels of a mask into the image, on the occupancy lifting's lattice.

    Args:
        K: Intrinsics in pixels of ``plane_size``. The published numbers are float32.
        plane_size: (height, width).
        grid: Its dims, voxel size and depth range; its origin is not used.
        frustum_mask: Voxels to look at.

    Returns:
        Those that lie in the depth range (both ends included) and in the image.

    Raises:
        ValueError: If the mask has another shape than the grid.

    Source: NVPanoptix3D, back projection; BUOL, section 3.3.
    """
    if tuple(frustum_mask.shape) != grid.dims:
        raise ValueError(
            f'frustum_mask must have the shape of its grid {grid.dims}, got '
            f'{tuple(frustum_mask.shape)}. Load or compute it for this grid.'
        )
    placed = camera_to_grid(K, plane_size, grid)
    coords = frustum_mask.nonzero()
    # The extra voxel is the reference's: its index 1 stands where ours is 0.
    points = coords - placed.padding - 1 + placed.minimum
    points = points * grid.voxel_size
    homogeneous = apply_matrix(K, points)
    depth = homogeneous[:, 2]
    uv = homogeneous[:, :2] / depth[:, None]
    near, far = grid.depth_range
    limit = uv.new_tensor((plane_size[1], plane_size[0]))
    inside = ((uv >= 0) & (uv < limit)).all(dim=-1) & (depth >= near) & (depth <= far)
    return VisibleVoxels(coords[inside], uv[inside], depth[inside])
