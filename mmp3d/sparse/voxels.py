"""Sparse voxels: coordinates with features."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class SparseVoxels:
    """Features at voxels of a batch of grids.

    Attributes:
        coords: (sample, x, y, z) in cells of this level's own stride;
            ``coords * stride`` are finest cells.
        feats: One row per voxel.
        stride: Edge of a cell in finest cells.
        batch_size: Number of samples; some may have no voxel.
    """

    coords: Int[Tensor, 'N 4']
    feats: Float[Tensor, 'N C']
    stride: int
    batch_size: int
