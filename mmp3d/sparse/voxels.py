"""Sparse voxels: coordinates with features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from mmp3d.sparse.cells import VoxelSet, pack, union


@dataclass(frozen=True, eq=False)
class SparseVoxels:
    """Features at voxels of a batch of grids.

    Rows may come in any order and repeat a cell; :func:`merge` brings them into the
    canonical order, sorted by (sample, x, y, z) and distinct, which everything else
    here asks for and gives back.

    Attributes:
        coords: (sample, x, y, z) in cells of this level's own stride;
            ``coords * stride`` are finest cells. May be negative.
        feats: One row per voxel.
        stride: Edge of a cell in finest cells.
        batch_size: Number of samples; some may have no voxel.
        known_cells: The set of the cells, where it has already been built.
    """

    coords: Int[Tensor, 'N 4']
    feats: Shaped[Tensor, 'N C']
    stride: int
    batch_size: int
    known_cells: VoxelSet | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.coords)

    @property
    def num_channels(self) -> int:
        """Columns of ``feats``."""
        return self.feats.shape[1]

    @property
    def cells(self) -> VoxelSet:
        """The set of the cells; it remembers the kernel maps.

        Raises:
            ValueError: If the rows are not in canonical order.
        """
        known = self.known_cells
        if known is None or known.coords is not self.coords:
            known = VoxelSet(self.coords, self.batch_size)
            object.__setattr__(self, 'known_cells', known)
        return known

    def with_feats(self, feats: Shaped[Tensor, 'N C2']) -> SparseVoxels:
        """Other features at the same cells."""
        return replace(self, feats=feats)

    def map(self, function: Callable[[Tensor], Tensor]) -> SparseVoxels:
        """Apply a function of rows to the features."""
        return self.with_feats(function(self.feats))


def on_cells(
    cells: VoxelSet, feats: Shaped[Tensor, 'N C'], stride: int
) -> SparseVoxels:
    """Features on an already built set of cells."""
    return SparseVoxels(cells.coords, feats, stride, cells.batch_size, cells)


def merge(voxels: SparseVoxels) -> SparseVoxels:
    """Sort by (sample, x, y, z); of rows at the same cell the first one survives."""
    keys, order = pack(voxels.coords).sort(stable=True)
    first = torch.ones_like(keys, dtype=torch.bool)
    first[1:] = keys[1:] != keys[:-1]
    rows = order[first]
    if len(rows) == len(voxels) and bool((order[1:] > order[:-1]).all()):
        return voxels
    cells = VoxelSet.from_keys(keys[first], voxels.batch_size)
    return on_cells(cells, voxels.feats[rows], voxels.stride)


def _check_same_stride(a: SparseVoxels, b: SparseVoxels) -> None:
    if a.stride != b.stride:
        raise ValueError(
            f'voxels of one stride were expected, got {a.stride} and {b.stride}; '
            'levels are joined after pooling or up-convolution only.'
        )


def padded_to(voxels: SparseVoxels, cells: VoxelSet) -> Shaped[Tensor, 'M C']:
    """Features at a set that contains the voxels; zeros at the other cells."""
    if voxels.cells is cells:
        return voxels.feats
    feats = voxels.feats
    zeros = feats.new_zeros(len(cells), feats.shape[1])
    return zeros.index_copy(0, voxels.cells.rows_in(cells), feats)


def concatenate(a: SparseVoxels, b: SparseVoxels) -> SparseVoxels:
    """Channels ``[a | b]`` on the union of the cells; zeros where one has no voxel.

    Raises:
        ValueError: If strides or batch sizes differ, or rows are not canonical.
    """
    _check_same_stride(a, b)
    cells = union([a.cells, b.cells])
    feats = torch.cat([padded_to(a, cells), padded_to(b, cells)], dim=1)
    return on_cells(cells, feats, a.stride)


def add(a: SparseVoxels, b: SparseVoxels) -> SparseVoxels:
    """Sum on the union of the cells; where one has no voxel it counts as zero.

    Raises:
        ValueError: If strides or batch sizes differ, or rows are not canonical.
    """
    _check_same_stride(a, b)
    cells = union([a.cells, b.cells])
    return on_cells(cells, padded_to(a, cells) + padded_to(b, cells), a.stride)


def prune(voxels: SparseVoxels, keep: Bool[Tensor, ' N']) -> SparseVoxels:
    """Keep some rows, in their order."""
    return SparseVoxels(
        voxels.coords[keep], voxels.feats[keep], voxels.stride, voxels.batch_size
    )


def inside(voxels: SparseVoxels, dims: tuple[int, int, int]) -> Bool[Tensor, ' N']:
    """Tell which voxels lie in a grid.

    Args:
        voxels: Voxels; they may lie anywhere.
        dims: Cells of the grid along x, y, z, counted in the voxels' own stride.
    """
    position = voxels.coords[:, 1:]
    size = torch.tensor(dims, device=position.device, dtype=position.dtype)
    return ((position >= 0) & (position < size)).all(dim=1)


def clip(voxels: SparseVoxels, dims: tuple[int, int, int]) -> SparseVoxels:
    """Drop the voxels outside a grid.

    Args:
        voxels: Voxels; they may lie anywhere.
        dims: Cells of the grid along x, y, z, counted in the voxels' own stride.
    """
    keep = inside(voxels, dims)
    return voxels if bool(keep.all()) else prune(voxels, keep)


def to_dense(
    voxels: SparseVoxels, dims: tuple[int, int, int], fill: float = 0.0
) -> Shaped[Tensor, 'B C X Y Z']:
    """Write the voxels into a dense grid.

    Args:
        voxels: Distinct voxels; those outside the grid are dropped.
        dims: Cells along x, y, z, counted in the voxels' own stride.
        fill: Value of cells without a voxel.
    """
    voxels = clip(voxels, dims)
    b, x, y, z = voxels.coords.long().unbind(1)
    rows = ((b * dims[0] + x) * dims[1] + y) * dims[2] + z
    shape = (voxels.batch_size, *dims, voxels.num_channels)
    flat = voxels.feats.new_full(shape, fill).flatten(0, 3)
    dense = flat.index_copy(0, rows, voxels.feats).view(shape)
    return dense.movedim(-1, 1).contiguous()


def from_dense(
    volume: Shaped[Tensor, 'B C X Y Z'], mask: Bool[Tensor, 'B X Y Z'], stride: int
) -> SparseVoxels:
    """Take the cells of a dense grid where a mask is set.

    Args:
        volume: Features of every cell.
        mask: Cells to take.
        stride: Edge of a cell in finest cells.
    """
    coords = mask.nonzero()
    b, x, y, z = coords.unbind(1)
    dims = volume.shape[2:]
    rows = ((b * dims[0] + x) * dims[1] + y) * dims[2] + z
    feats = volume.movedim(1, -1).flatten(0, 3).index_select(0, rows)
    return SparseVoxels(coords.int(), feats, stride, len(volume))


def per_sample(voxels: SparseVoxels) -> list[Float[Tensor, '_ C']]:
    """Rows of every sample, in order.

    Raises:
        ValueError: If the rows are not in canonical order.
    """
    return list(voxels.feats.split(voxels.cells.sample_sizes))
