"""Several voxel sets side by side, without writing the zeros between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mmp3d.sparse.cells import VoxelSet, union
from mmp3d.sparse.voxels import SparseVoxels, on_cells, padded_to


@dataclass(frozen=True, eq=False)
class FusedVoxels:
    """The channels of several voxel sets, side by side on the union of their cells.

    Stands for the tensor that :func:`mmp3d.sparse.concatenate` writes, where a part's
    channels are zero at cells that only others have. A convolution of it costs what the
    parts' own voxels cost.

    Attributes:
        parts: Voxels in canonical order; their channels follow one another.
        cells: Contains the cells of every part.
    """

    parts: tuple[SparseVoxels, ...]
    cells: VoxelSet

    @property
    def num_channels(self) -> int:
        """Channels of all parts."""
        return sum(part.num_channels for part in self.parts)

    @property
    def stride(self) -> int:
        """Edge of a cell in finest cells."""
        return self.parts[0].stride

    def split(self, sizes: Sequence[int]) -> list[FusedVoxels]:
        """Cut the channels into groups, each on all cells.

        Raises:
            ValueError: If the sizes do not add up to the number of channels.
        """
        if sum(sizes) != self.num_channels:
            raise ValueError(
                f'channels {tuple(sizes)} were expected, {sum(sizes)} in all, got '
                f'{self.num_channels} in parts of '
                f'{tuple(part.num_channels for part in self.parts)}; the liftings must '
                'give what in_channels of the consumer says.'
            )
        groups, start = [], 0
        for size in sizes:
            groups.append(self._channels(start, start + size))
            start += size
        return groups

    def _channels(self, start: int, stop: int) -> FusedVoxels:
        parts, offset = [], 0
        for part in self.parts:
            low, high = max(start - offset, 0), min(stop - offset, part.num_channels)
            if low < high:
                parts.append(part.with_feats(part.feats[:, low:high]))
            offset += part.num_channels
        return FusedVoxels(tuple(parts), self.cells)

    def on_all_cells(self, feats: Float[Tensor, 'N C']) -> SparseVoxels:
        """Features of every cell, in the order of ``cells``."""
        return on_cells(self.cells, feats, self.stride)

    def written_out(self) -> SparseVoxels:
        """One dense row of all channels per cell."""
        feats = torch.cat([padded_to(part, self.cells) for part in self.parts], dim=1)
        return self.on_all_cells(feats)

    def without_zero_rows(self) -> FusedVoxels:
        """Drop the rows of every part that are zero in all its channels."""
        parts = []
        for part in self.parts:
            keep = (part.feats != 0).any(dim=1)
            cells = VoxelSet(part.coords[keep], part.batch_size)
            parts.append(on_cells(cells, part.feats[keep], part.stride))
        return FusedVoxels(tuple(parts), self.cells)


def fuse(*parts: SparseVoxels) -> FusedVoxels:
    """Put voxel sets side by side on the union of their cells.

    Args:
        parts: In canonical order, of one stride and one batch.

    Raises:
        ValueError: If strides or batch sizes differ, or rows are not canonical.
    """
    strides = {part.stride for part in parts}
    if len(strides) > 1:
        raise ValueError(
            f'voxels of one stride were expected, got {sorted(strides)}; '
            'pool the finer ones first.'
        )
    return FusedVoxels(parts, union([part.cells for part in parts]))


def as_fused(voxels: SparseVoxels | FusedVoxels) -> FusedVoxels:
    """Read a single voxel set as a fused one."""
    if isinstance(voxels, FusedVoxels):
        return voxels
    return FusedVoxels((voxels,), voxels.cells)


def weight_slices(
    voxels: FusedVoxels, weight: Float[Tensor, '*taps C D']
) -> list[Float[Tensor, '*taps _ D']]:
    """The part of a weight that each part's channels meet."""
    return list(weight.split([part.num_channels for part in voxels.parts], dim=-2))
