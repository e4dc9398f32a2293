"""Which segments cover which cells, where several may cover one cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Integer, UInt


@dataclass(frozen=True)
class SegmentCover:
    """Segments over the cells of an image or a grid; segments may overlap.

    Only covered cells are stored, and cells covered by the same segments share one row
    of ``members``. So areas and intersections are counted in one pass over the cells,
    whatever the number of segments.

    Attributes:
        cells: Flat index of every covered cell, ascending.
        sets: Row of ``members`` that holds for the cell.
        members: Whether segment s belongs to set k.
        shape: Shape of the whole domain.
    """

    cells: Int[np.ndarray, ' N']
    sets: Int[np.ndarray, ' N']
    members: Bool[np.ndarray, 'K S']
    shape: tuple[int, ...]

    @classmethod
    def from_ids(
        cls, ids: Integer[np.ndarray, '*domain'], segment_ids: Sequence[int]
    ) -> SegmentCover:
        """Take the segments of an id map, in the given order; other ids are ignored."""
        flat = ids.reshape(-1)
        rows = rows_of_ids(flat, segment_ids)
        cells = np.flatnonzero(rows >= 0)
        members = np.eye(len(segment_ids), dtype=bool)
        return cls(cells, rows[cells], members, ids.shape)

    @classmethod
    def from_masks(cls, masks: Bool[np.ndarray, 'S *domain']) -> SegmentCover:
        """Take one mask per segment."""
        num_segments, *shape = masks.shape
        flat = masks.reshape(num_segments, int(np.prod(shape)))
        words = [
            _pack(flat[start : start + 64]) for start in range(0, num_segments, 64)
        ]
        return cls.from_words(words, num_segments, tuple(shape))

    @classmethod
    def from_words(
        cls,
        words: Sequence[UInt[np.ndarray, ' M']],
        num_segments: int,
        shape: tuple[int, ...],
        positions: Int[np.ndarray, ' M'] | None = None,
    ) -> SegmentCover:
        """Take bit words: bit b of word w says that segment 64 w + b is there.

        Args:
            words: Unsigned words, one array per 64 segments; 0 = not covered.
            num_segments: Number of segments.
            shape: Shape of the whole domain.
            positions: Flat index of each of the ``M`` cells, ascending; ``None``: the
                words are given for all cells.
        """
        if not words:
            none = np.zeros(0, np.int64)
            return cls(none, none, np.zeros((0, num_segments), bool), shape)
        covered = np.flatnonzero(np.any([word != 0 for word in words], axis=0))
        sets = np.zeros(len(covered), np.int64)
        members = np.zeros((1, 0), bool)
        for index, word in enumerate(words):
            size = min(64, num_segments - 64 * index)
            patterns, of_cell = np.unique(word[covered], return_inverse=True)
            # A set of all words so far and a pattern of this word make a new set.
            pairs, sets = np.unique(
                sets * len(patterns) + of_cell.reshape(-1), return_inverse=True
            )
            before, now = np.divmod(pairs, max(len(patterns), 1))
            members = np.hstack([members[before], _unpack(patterns, size)[now]])
        cells = covered if positions is None else positions[covered]
        return cls(cells, sets.reshape(-1), members, shape)

    @property
    def num_segments(self) -> int:
        """Number of segments, the empty ones included."""
        return self.members.shape[1]

    def areas(self) -> Int[np.ndarray, ' S']:
        """Number of cells of every segment."""
        per_set = np.bincount(self.sets, minlength=len(self.members))
        return per_set @ self.members.astype(np.int64)

    def areas_within(self, mask: Bool[np.ndarray, '*domain']) -> Int[np.ndarray, ' S']:
        """Number of cells of every segment where ``mask`` holds."""
        inside = self.sets[mask.reshape(-1)[self.cells]]
        per_set = np.bincount(inside, minlength=len(self.members))
        return per_set @ self.members.astype(np.int64)

    def intersections(self, other: SegmentCover) -> Int[np.ndarray, 'S T']:
        """Number of cells that each of ours shares with each of the other's segments.

        Raises:
            ValueError: If the two are about domains of different shapes.
        """
        if self.shape != other.shape:
            raise ValueError(
                f'segments over {self.shape} cannot be compared with segments over '
                f'{other.shape}: bring both to one grid first'
            )
        # One table entry per cell of the domain: untouched pages cost nothing.
        set_of_cell = np.zeros(int(np.prod(self.shape)), np.int32)
        set_of_cell[other.cells] = other.sets + 1
        theirs = set_of_cell[self.cells]
        columns = len(other.members) + 1
        pairs = np.bincount(
            self.sets * columns + theirs, minlength=len(self.members) * columns
        ).reshape(len(self.members), columns)[:, 1:]
        ours = self.members.T.astype(np.int64)
        return ours @ pairs @ other.members.astype(np.int64)

    def masks(self) -> Bool[np.ndarray, 'S *domain']:
        """One dense mask per segment: for pictures and tests, not for counting."""
        masks = np.zeros((self.num_segments, int(np.prod(self.shape))), bool)
        masks[:, self.cells] = self.members[self.sets].T
        return masks.reshape(self.num_segments, *self.shape)


def rows_of_ids(
    ids: Integer[np.ndarray, ' N'], segment_ids: Sequence[int]
) -> Int[np.ndarray, ' N']:
    """Give the position of each id in ``segment_ids``; -1 for ids not in the list.

    Raises:
        ValueError: If an id is negative or a segment id appears twice.
    """
    wanted = np.asarray(segment_ids, np.int64)
    if len(np.unique(wanted)) != len(wanted) or (wanted < 0).any():
        raise ValueError(
            f'segment ids must be unique and not negative, got {wanted.tolist()}'
        )
    if ids.size == 0:
        return np.zeros(0, np.int64)
    if ids.min() < 0:
        raise ValueError(f'id maps hold ids from 0 on, got {ids.min()}')
    table = np.full(max(int(ids.max()), int(wanted.max(initial=0))) + 1, -1, np.int64)
    table[wanted] = np.arange(len(wanted))
    return table[ids]


def _pack(masks: Bool[np.ndarray, 'S M']) -> UInt[np.ndarray, ' M']:
    word = np.zeros(masks.shape[1], np.uint64)
    for bit, mask in enumerate(masks):
        word |= mask.astype(np.uint64) << np.uint64(bit)
    return word


def _unpack(words: UInt[np.ndarray, ' K'], size: int) -> Bool[np.ndarray, 'K S']:
    bits = np.arange(size, dtype=np.uint64)
    return (words.astype(np.uint64)[:, None] >> bits & np.uint64(1)).astype(bool)
