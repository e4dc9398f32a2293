"""In which order samples are drawn, and with which seed each is augmented."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sized

import torch
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from mmp3d.registry import DATA_SAMPLERS
from mmp3d.utils import derive_seed


class SeededIndex(int):
    """The index of a sample, and the seed of what is drawn at random for it.

    Attributes:
        seed: Given once in a run: the next time the sample has another one.
    """

    seed: int

    def __new__(cls, index: int, seed: int) -> SeededIndex:
        """Make an index that any dataset understands."""
        seeded_index = super().__new__(cls, index)
        seeded_index.seed = seed
        return seeded_index

    def __getnewargs__(self) -> tuple[int, int]:
        """What the index is made from again in the process of a worker."""
        return int(self), self.seed


@DATA_SAMPLERS.register_module()
class ResumableInfiniteSampler(Sampler):
    """Draw samples without end; what comes at a position depends on nothing else.

    All processes share one sequence of positions: process r of n draws the positions
    r, r + n, r + 2n, ... So a run can start in the middle of an epoch, and several
    processes together draw what one with their global batch draws.

    Args:
        dataset: What is drawn from.
        shuffle: Draw every epoch in another order; otherwise by ascending index.
        seed: Of order and augmentation; ``None``: one that the processes agree on.
    """

    def __init__(
        self, dataset: Sized, shuffle: bool = True, seed: int | None = None
    ) -> None:
        self.rank, self.world_size = get_dist_info()
        self.size = len(dataset)
        self.shuffle = shuffle
        self.seed = sync_random_seed() if seed is None else seed
        self.start = 0

    def start_at(self, position: int, seed: int) -> None:
        """Go on where another run ended; for iterators that are made from now on.

        Args:
            position: How many samples all processes together have drawn.
            seed: Of that run.
        """
        self.start = position
        self.seed = seed

    def __iter__(self) -> Iterator[SeededIndex]:
        """Draw from the start."""
        order, order_of = [], -1
        for position in itertools.count(self.start + self.rank, self.world_size):
            epoch, place = divmod(position, self.size)
            if epoch != order_of:
                order, order_of = self._order(epoch), epoch
            yield SeededIndex(order[place], derive_seed(self.seed, position))

    def __len__(self) -> int:
        """Number of samples of the dataset."""
        return self.size

    def _order(self, epoch: int) -> list[int]:
        if not self.shuffle:
            return list(range(self.size))
        generator = torch.Generator().manual_seed(derive_seed(self.seed, epoch, 1))
        return torch.randperm(self.size, generator=generator).tolist()
