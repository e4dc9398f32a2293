"""A grid of any size: the recorded liftings ran on grids that no decoder accepts."""

from __future__ import annotations

from dataclasses import dataclass

from mmp3d.structures import FrustumGrid


@dataclass(frozen=True)
class AnyGrid(FrustumGrid):
    """A ``FrustumGrid`` whose dims need not be multiples of 8."""

    def __post_init__(self) -> None:
        """Check nothing."""


def cubic_grid(dim: int, voxel_size: float, near: float, far: float) -> AnyGrid:
    """A cubic grid of ``dim`` voxels; sizes in metres."""
    return AnyGrid((dim, dim, dim), voxel_size, (near, far))
