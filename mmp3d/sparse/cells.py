"""Sets of voxel coordinates: one canonical order and look-up of rows."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from typing import TypeVar

import torch
from jaxtyping import Int
from torch import Tensor

# 16 bits per axis: neighbours' keys are one addition away as long as no axis overflows.
_HALF_RANGE = 1 << 15
_FARTHEST = 32000
# Queries of neighbour_rows lie at most this far outside the set's bounding box.
_MARGIN = 3
# A dense table of rows is used while it holds at most this many cells per voxel.
_CELLS_PER_VOXEL = 64

Built = TypeVar('Built')


def pack(coords: Int[Tensor, 'N 4']) -> Int[Tensor, ' N']:
    """Give every (sample, x, y, z) a 64-bit key; keys sort as coordinates do.

    Args:
        coords: Cells; x, y, z may be negative, down to -32768.
    """
    b, x, y, z = coords.long().unbind(1)
    half = _HALF_RANGE
    return (b << 48) | ((x + half) << 32) | ((y + half) << 16) | (z + half)


def key_shift(offset: tuple[int, int, int]) -> int:
    """What a step by (x, y, z) cells adds to a key."""
    x, y, z = offset
    return (x << 32) + (y << 16) + z


def unpack(keys: Int[Tensor, ' N']) -> Int[Tensor, 'N 4']:
    """Undo :func:`pack`; coordinates are int32."""
    axes = [((keys >> shift) & 0xFFFF) - _HALF_RANGE for shift in (32, 16, 0)]
    return torch.stack([keys >> 48, *axes], dim=1).int()


class VoxelSet:
    """Distinct cells of a batch of grids, sorted by (sample, x, y, z).

    What is built from a set (coarser sets, kernel maps) is remembered by the set itself
    and never by sizes or strides: another set of rows is another object, and the memory
    goes with the last tensor on this set.

    Args:
        coords: (sample, x, y, z), sorted and distinct.
        batch_size: Number of samples; some may have no cell.

    Raises:
        ValueError: If the coordinates are not sorted, contain duplicates, lie outside
            +-32000 cells or belong to a sample outside the batch.
    """

    def __init__(self, coords: Int[Tensor, 'N 4'], batch_size: int) -> None:
        self.coords = coords
        self.batch_size = batch_size
        self._box = self._checked_box()
        self._built: dict[Hashable, object] = {}

    @classmethod
    def from_keys(cls, keys: Int[Tensor, ' N'], batch_size: int) -> VoxelSet:
        """Build a set from sorted, distinct keys."""
        return cls(unpack(keys), batch_size)

    def __len__(self) -> int:
        return len(self.coords)

    @cached_property
    def keys(self) -> Int[Tensor, ' N']:
        """One 64-bit key per cell, in ascending order."""
        return pack(self.coords)

    @cached_property
    def sample_sizes(self) -> list[int]:
        """Number of cells of every sample."""
        samples = self.coords[:, 0].long()
        return torch.bincount(samples, minlength=self.batch_size).tolist()

    def _checked_box(self) -> tuple[list[int], list[int]]:
        """Smallest and largest (sample, x, y, z)."""
        if not len(self.coords):
            return [0] * 4, [0] * 4
        lowest, highest = self.coords.long().aminmax(dim=0)
        misplaced = (self.keys[1:] <= self.keys[:-1]).sum()
        # One transfer for all numbers.
        numbers = torch.cat([lowest, highest, misplaced[None]]).tolist()
        low, high = numbers[:4], numbers[4:8]
        if low[0] < 0 or high[0] >= self.batch_size:
            raise ValueError(
                f'sample indices of voxels must lie in 0 ... {self.batch_size - 1}, '
                f'got {low[0]} ... {high[0]}; column 0 of coords is the sample.'
            )
        if min(low[1:]) < -_FARTHEST or max(high[1:]) > _FARTHEST:
            raise ValueError(
                f'voxel coordinates must lie within +-{_FARTHEST} cells, got {low[1:]} '
                f'... {high[1:]}; drop far voxels with prune() first.'
            )
        if numbers[8]:
            raise ValueError(
                f'voxels must be sorted by (sample, x, y, z) and distinct, but '
                f'{numbers[8]} of {len(self.coords)} rows are not; call merge() first.'
            )
        return low, high

    def find(self, keys: Int[Tensor, ' M']) -> Int[Tensor, ' M']:
        """Give the row of every key, or ``len(self)`` where the cell is missing."""
        count = len(self)
        if not count:
            return torch.zeros_like(keys)
        rows = torch.searchsorted(self.keys, keys).clamp_(max=count - 1)
        return torch.where(self.keys[rows] == keys, rows, count)

    def neighbour_rows(
        self, base: Int[Tensor, 'M 4'], offsets: Sequence[tuple[int, int, int]]
    ) -> Int[Tensor, 'M K']:
        """Give the rows of ``base + offset``, or ``len(self)`` where nothing is.

        Args:
            base: Cells whose neighbours are asked for. All ``base + offset`` lie at
                most three cells outside this set's bounding box.
            offsets: (x, y, z) shifts in cells.
        """
        if not len(self) or not len(base):
            shape = len(base), len(offsets)
            return torch.zeros(shape, dtype=torch.int32, device=base.device)
        low, high = self._box
        dims = [b - a + 1 + 2 * _MARGIN for a, b in zip(low[1:], high[1:], strict=True)]
        volume = self.batch_size * dims[0] * dims[1] * dims[2]
        if volume <= _CELLS_PER_VOXEL * len(self) + (1 << 16):
            return self._neighbours_by_table(base, offsets, dims)
        return self._neighbours_by_search(base, offsets)

    def _neighbours_by_search(self, base: Tensor, offsets: Sequence) -> Tensor:
        keys = pack(base)
        columns = [self.find(keys + key_shift(o)).int() for o in offsets]
        return torch.stack(columns, dim=1)

    def _neighbours_by_table(
        self, base: Tensor, offsets: Sequence, dims: list[int]
    ) -> Tensor:
        """Look up in a dense table of rows: ten times as quick for compact sets."""
        device, count = base.device, len(self)
        volume = self.batch_size * dims[0] * dims[1] * dims[2]
        # int32 halves the traffic wherever it can count the table's cells.
        dtype = torch.int32 if volume < 1 << 31 else torch.int64

        def place(coords: Tensor) -> Tensor:
            axes = zip(coords.to(dtype).unbind(1), origin, (1, *dims), strict=True)
            index = 0
            for column, first, size in axes:
                index = index * size + (column - first)
            return index

        origin = [0, *(a - _MARGIN for a in self._box[0][1:])]
        rows = torch.arange(count, dtype=torch.int32, device=device)
        table = rows.new_full((volume,), count)
        table[place(self.coords)] = rows
        jumps = torch.tensor(
            [(x * dims[1] + y) * dims[2] + z for x, y, z in offsets],
            dtype=dtype,
            device=device,
        )
        found = rows.new_empty((len(base), len(offsets)))
        chunk = max(1, (1 << 20) // len(offsets))
        for part, out in zip(base.split(chunk), found.split(chunk), strict=True):
            wanted = (place(part)[:, None] + jumps).flatten()
            torch.index_select(table, 0, wanted, out=out.view(-1))
        return found

    def once(self, name: Hashable, build: Callable[[], Built]) -> Built:
        """Build something from this set the first time, give the same afterwards."""
        if name not in self._built:
            self._built[name] = build()
        return self._built[name]

    def coarser(self) -> VoxelSet:
        """The distinct ``floor(c / 2)``."""

        def build() -> VoxelSet:
            return VoxelSet.from_keys(
                torch.unique(pack(halved(self.coords))), self.batch_size
            )

        return self.once('coarser', build)

    def rows_in(self, target: VoxelSet) -> Int[Tensor, ' N']:
        """The row that each of these cells has in a set that contains this one.

        Raises:
            ValueError: If a cell is missing in ``target``.
        """

        def build() -> Tensor:
            rows = target.find(self.keys)
            missing = int((rows == len(target)).sum())
            if missing:
                raise ValueError(
                    f'{missing} of {len(self)} voxels are missing in the target set of '
                    f'{len(target)}; it must contain all of them, as a union does.'
                )
            return rows

        return self.once(('rows_in', target), build)


def halved(coords: Int[Tensor, 'N 4']) -> Int[Tensor, 'N 4']:
    """Give ``floor(c / 2)`` of x, y and z."""
    return torch.cat([coords[:, :1], coords[:, 1:] >> 1], dim=1)


def doubled(coords: Int[Tensor, 'N 4']) -> Int[Tensor, 'N 4']:
    """Give ``2 * c`` of x, y and z."""
    return torch.cat([coords[:, :1], coords[:, 1:] << 1], dim=1)


def union(sets: Sequence[VoxelSet]) -> VoxelSet:
    """All cells of several sets of one batch.

    Raises:
        ValueError: If the sets belong to batches of different size.
    """
    first = sets[0]
    sizes = [s.batch_size for s in sets]
    if len(set(sizes)) > 1:
        raise ValueError(
            f'voxel sets of batches of different size cannot be united, got {sizes}; '
            'build all of them from the same batch.'
        )
    if all(s is first for s in sets):
        return first
    return VoxelSet.from_keys(
        torch.unique(torch.cat([s.keys for s in sets])), first.batch_size
    )
