"""What is drawn at a position depends on the position and the seed only."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
import torch

from mmp3d.datasets import ResumableInfiniteSampler, SeededIndex, samplers
from mmp3d.utils import derive_seed, seeded


def _draw(sampler: ResumableInfiniteSampler, number: int) -> list[tuple[int, int]]:
    return [(int(i), i.seed) for i in itertools.islice(sampler, number)]


def test_every_epoch_draws_every_sample_once_in_another_order():
    drawn = [i for i, _ in _draw(ResumableInfiniteSampler(range(50), seed=3), 100)]
    assert sorted(drawn[:50]) == sorted(drawn[50:]) == list(range(50))
    assert drawn[:50] != drawn[50:]


def test_a_run_starts_in_the_middle_of_an_epoch():
    whole = _draw(ResumableInfiniteSampler(range(5), seed=3), 23)
    resumed = ResumableInfiniteSampler(range(5), seed=8)
    resumed.start_at(17, seed=3)
    assert _draw(resumed, 6) == whole[17:]


def test_processes_together_draw_what_one_draws(monkeypatch: pytest.MonkeyPatch):
    whole = _draw(ResumableInfiniteSampler(range(5), seed=3), 12)
    parts = []
    for rank in (0, 1, 2):
        monkeypatch.setattr(samplers, 'get_dist_info', lambda rank=rank: (rank, 3))
        parts.append(_draw(ResumableInfiniteSampler(range(5), seed=3), 4))
    assert [draw for group in zip(*parts, strict=True) for draw in group] == whole


def test_without_shuffling_the_order_is_the_dataset_s():
    sampler = ResumableInfiniteSampler(range(3), shuffle=False, seed=3)
    drawn = _draw(sampler, 7)
    assert [i for i, _ in drawn] == [0, 1, 2, 0, 1, 2, 0]
    assert len({seed for _, seed in drawn}) == 7
    assert len(sampler) == 3


def test_an_index_survives_the_way_to_a_worker():
    index = pickle.loads(pickle.dumps(SeededIndex(4, 9)))
    assert index == 4 and index.seed == 9 and [5, 6, 7, 8, 3][index] == 3


def test_seeds_of_neighbours_are_unlike():
    seeds = {derive_seed(a, b) for a in range(20) for b in range(20)}
    assert len(seeds) == 400 and all(0 <= s < 2**32 for s in seeds)


def test_seeding_a_block_leaves_the_generators_as_they_were():
    torch.manual_seed(1)
    np.random.seed(1)
    expected = torch.rand(1), np.random.rand()
    torch.manual_seed(1)
    np.random.seed(1)
    inside = []
    with seeded(5):
        inside.append((torch.rand(1).item(), np.random.rand()))
    assert torch.rand(1) == expected[0]
    with seeded(5):
        inside.append((torch.rand(1).item(), np.random.rand()))
    assert np.random.rand() == expected[1]
    assert inside[0] == inside[1]
