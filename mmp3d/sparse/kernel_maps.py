"""Which input rows meet which weight tap for which output row.

Taps are counted with x slowest: ``t = (i * K + j) * K + l``. Kernels of size 3 are
centred (offsets -1 ... 1), kernels of size 4 are not (0 ... 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from mmp3d.sparse.cells import VoxelSet, doubled, halved, key_shift, pack, unpack

_CORNERS = tuple(product(range(2), repeat=3))


@dataclass(frozen=True)
class Gather:
    """How target rows are summed from source rows.

    ``sums[n, m] = sum over k of source[table[n, k]] @ weight[taps[m, k]]``, and target
    row r is ``sums.flatten(0, 1)[slots[r]]``.

    Attributes:
        table: Source rows; the number of source rows = none.
        taps: Weight taps; the number of taps = none.
        slots: Where the target rows lie among the N * M sums; N * M = a row of zeros.
            ``None``: M is 1 and the sums are the target rows in order.
    """

    table: Int[Tensor, 'N K']
    taps: Int[Tensor, 'M K']
    slots: Int[Tensor, ' R'] | None = None

    def unslotted(self, rows: Shaped[Tensor, 'R C']) -> Shaped[Tensor, 'N MC']:
        """Put target rows where their sums lie; zeros where no target row is."""
        if self.slots is None:
            return rows
        count = len(self.table) * len(self.taps)
        block = rows.new_zeros(count + 1, rows.shape[1])
        block[self.slots] = rows
        columns = len(self.taps) * rows.shape[1]
        return block[:count].reshape(len(self.table), columns)


@dataclass(frozen=True)
class KernelMap:
    """One sparse convolution's wiring, seen from both ends.

    Attributes:
        num_inputs: Rows of the input set.
        num_outputs: Rows of the output set.
        num_taps: Taps of the kernel.
        by_output: For every output row its input rows: the convolution itself.
        by_input: For every input row its output rows: the gradient.
    """

    num_inputs: int
    num_outputs: int
    num_taps: int
    by_output: Gather
    by_input: Gather

    @cached_property
    def pairs(self) -> tuple[Int[Tensor, '2 T N'], Int[Tensor, ' T']]:
        """(input, output) rows of every tap, padded with -1, and their number."""
        from_inputs = self.by_output.slots is not None
        side = self.by_input if from_inputs else self.by_output
        missing = self.num_outputs if from_inputs else self.num_inputs
        table = side.table[:, side.taps[0].argsort()].T  # T N
        found = table < missing
        counts = found.sum(1)
        longest = max(1, int(counts.max()))
        pairs = table.new_full((2, self.num_taps, longest), -1)
        tap, row = found.nonzero(as_tuple=True)
        place = torch.arange(len(tap), device=tap.device)
        place = place - (counts.cumsum(0) - counts)[tap]
        pairs[int(from_inputs), tap, place] = table[tap, row]
        pairs[1 - int(from_inputs), tap, place] = row.to(table.dtype)
        return pairs, counts.int()


def kernel_offsets(kernel_size: int) -> list[tuple[int, int, int]]:
    """(x, y, z) shift of every tap."""
    first = -(kernel_size // 2) if kernel_size % 2 else 0
    return list(product(range(first, first + kernel_size), repeat=3))


def _tap(offset: list[int], kernel_size: int) -> int:
    """Tap of an offset; the number of taps where the kernel does not reach."""
    first = -(kernel_size // 2) if kernel_size % 2 else 0
    tap = 0
    for value in offset:
        if not first <= value < first + kernel_size:
            return kernel_size**3
        tap = tap * kernel_size + value - first
    return tap


def _all_taps(kernel_size: int, device: torch.device) -> Int[Tensor, '1 T']:
    return torch.arange(kernel_size**3, device=device)[None]


def submanifold_map(cells: VoxelSet) -> KernelMap:
    """Kernel of size 3 from a set onto itself."""

    def build() -> KernelMap:
        table = cells.neighbour_rows(cells.coords, kernel_offsets(3))
        taps = _all_taps(3, table.device)
        # Symmetric: if i is o's neighbour by tap t, then o is i's by tap 26 - t.
        forward, backward = Gather(table, taps), Gather(table, taps.flip(1))
        return KernelMap(len(cells), len(cells), 27, forward, backward)

    return cells.once('submanifold', build)


def subset_map(source: VoxelSet, target: VoxelSet) -> KernelMap:
    """Kernel of size 3 from a set onto one that contains it.

    Only target rows beside a source cell are computed; the others are zero.
    """
    if source is target:
        return submanifold_map(source)

    def build() -> KernelMap:
        source.rows_in(target)  # raises where the target does not contain the source
        offsets = kernel_offsets(3)
        backward = target.neighbour_rows(source.coords, offsets[::-1])
        touched = torch.zeros(len(target) + 1, dtype=torch.bool, device=backward.device)
        touched[backward.flatten().long()] = True
        rows = touched[:-1].nonzero()[:, 0]
        table = source.neighbour_rows(target.coords[rows], offsets)
        slots = rows.new_full((len(target),), len(rows))
        slots[rows] = torch.arange(len(rows), device=rows.device)
        taps = _all_taps(3, rows.device)
        return KernelMap(
            len(source),
            len(target),
            27,
            Gather(table, taps, slots),
            Gather(backward, taps),
        )

    return source.once(('onto', target), build)


def downward_map(fine: VoxelSet, kernel_size: int) -> KernelMap:
    """Kernel of size 3 or 4, stride 2, onto ``fine.coarser()``.

    Coarse cell o reads the fine cells 2o + offset.
    """

    def build() -> KernelMap:
        coarse = fine.coarser()
        table = fine.neighbour_rows(doubled(coarse.coords), kernel_offsets(kernel_size))
        forward = Gather(table, _all_taps(kernel_size, table.device))
        backward = _readers(fine, coarse, kernel_size)
        return KernelMap(len(fine), len(coarse), kernel_size**3, forward, backward)

    return fine.once(('down', kernel_size), build)


def _readers(fine: VoxelSet, coarse: VoxelSet, kernel_size: int) -> Gather:
    """The coarse cells that read each fine cell, one block of 2 x 2 x 2 at a time.

    A fine cell 2d + p is read by o = d + side * e, with e in {0, 1} per axis, at the
    offset p - 2 * side * e.
    """
    side = 1 if kernel_size == 3 else -1
    corners = [tuple(side * e for e in corner) for corner in _CORNERS]
    table = coarse.neighbour_rows(coarse.coords, corners)
    block = coarse.neighbour_rows(halved(fine.coords), [(0, 0, 0)])[:, 0].long()
    x, y, z = (fine.coords[:, 1:].long() & 1).unbind(1)
    slots = ((block * 2 + x) * 2 + y) * 2 + z
    taps = [
        [
            _tap([p - 2 * e for p, e in zip(child, corner, strict=True)], kernel_size)
            for corner in corners
        ]
        for child in _CORNERS
    ]
    return Gather(table, torch.tensor(taps, device=table.device), slots)


def upward_map(coarse: VoxelSet) -> tuple[VoxelSet, KernelMap]:
    """Transposed kernel of size 4, stride 2: cell c writes to all 2c + {0 ... 3}.

    Every written cell is 2d + p with d = c + e, where p and e are in {0, 1} per axis.
    So the blocks d are found first; each has all of its eight children.

    Returns:
        The written cells, and the map.
    """
    return coarse.once('upward', lambda: _build_upward(coarse))


def _build_upward(coarse: VoxelSet) -> tuple[VoxelSet, KernelMap]:
    device = coarse.coords.device
    steps = torch.tensor([key_shift(corner) for corner in _CORNERS], device=device)
    reached = coarse.keys[:, None] + steps
    keys, block = torch.unique(reached, return_inverse=True)
    blocks = unpack(keys)
    table = coarse.neighbour_rows(blocks, [(-x, -y, -z) for x, y, z in _CORNERS])

    children = pack(doubled(blocks))[:, None] + steps
    keys, slots = children.flatten().sort()
    row_of_slot = torch.empty_like(slots)
    row_of_slot[slots] = torch.arange(len(slots), device=device)
    written = row_of_slot.view(-1, 8)[block]  # N, block e, child p

    taps = torch.tensor(
        [
            [
                _tap([p + 2 * e for p, e in zip(child, corner, strict=True)], 4)
                for corner in _CORNERS
            ]
            for child in _CORNERS
        ],
        device=device,
    )
    fine = VoxelSet.from_keys(keys, coarse.batch_size)
    forward = Gather(table, taps, slots)
    backward = Gather(written.flatten(1).int(), taps.T.reshape(1, 64))
    return fine, KernelMap(len(coarse), len(fine), 64, forward, backward)
