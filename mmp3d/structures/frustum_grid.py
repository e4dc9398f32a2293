"""The voxel grid in front of a camera."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mmp3d.utils import check_positive


@dataclass(frozen=True)
class FrustumGrid:
    """A dense voxel grid whose axes are parallel to the camera's (x right, y down, z
    forward).

    Given once, to the dataset; it travels with the sample and reaches the model in
    ``CameraBatch.grid``.

    Attributes:
        dims: Number of voxels along (x, y, z).
        voxel_size: Edge of a voxel in metres.
        depth_range: Nearest and farthest z-depth in metres that the frustum covers.
        truncation: Largest distance that volumes store, in voxels.
        origin: Camera point of voxel index (0, 0, 0) in voxels. ``None``: the grid is
            centred on the optical axis and on the middle of ``depth_range``, which is
            -128, -128, -21.33 for the published 256-voxel grid.
    """

    dims: tuple[int, int, int] = (256, 256, 256)
    voxel_size: float = 0.03
    depth_range: tuple[float, float] = (0.4, 6.0)
    truncation: float = 12.0
    origin: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, 'dims', tuple(int(n) for n in self.dims))
        object.__setattr__(self, 'depth_range', tuple(map(float, self.depth_range)))
        if len(self.dims) != 3 or min(self.dims) < 8 or any(n % 8 for n in self.dims):
            raise ValueError(
                f'grid dims must be three positive multiples of 8, got {self.dims}'
            )
        check_positive('grid voxel_size', self.voxel_size)
        check_positive('grid truncation', self.truncation)
        near, far = self.depth_range
        if not 0 < near < far:
            raise ValueError(
                f'grid depth_range must be 0 < near < far in metres, got {near}, {far}'
            )

    @property
    def origin_metres(self) -> tuple[float, float, float]:
        """Camera point in metres of voxel index (0, 0, 0)."""
        if self.origin is not None:
            return tuple(self.voxel_size * o for o in self.origin)
        x, y, z = (-0.5 * n * self.voxel_size for n in self.dims)
        return x, y, z + 0.5 * sum(self.depth_range)

    def coarser(self, stride: int) -> FrustumGrid:
        """The same space with voxels ``stride`` times as large."""
        if stride == 1:
            return self
        origin = self.origin
        if origin is not None:
            origin = tuple(o / stride for o in origin)
        return replace(
            self,
            dims=tuple(n // stride for n in self.dims),
            voxel_size=self.voxel_size * stride,
            origin=origin,
        )
