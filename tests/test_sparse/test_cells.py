"""Sets of cells: keys, look-up of rows, coarser sets."""

from __future__ import annotations

import pytest
import torch

from mmp3d.sparse import VoxelSet
from mmp3d.sparse.cells import doubled, halved, pack, union, unpack

OFFSETS = [(-1, 0, 2), (0, 0, 0), (3, -2, 1)]


def random_set(count=200, span=9, batch_size=2, seed=0):
    torch.manual_seed(seed)
    coords = torch.randint(-span, span, (count, 4), dtype=torch.int32)
    coords[:, 0] = torch.randint(0, batch_size, (count,))
    return VoxelSet(torch.unique(coords, dim=0), batch_size)


def test_keys_sort_like_coordinates_and_can_be_undone():
    cells = random_set()
    assert torch.equal(unpack(cells.keys), cells.coords)
    assert bool((cells.keys[1:] > cells.keys[:-1]).all())


def test_halving_rounds_down():
    coords = torch.tensor([[1, -1, -2, 3]])
    assert halved(coords).tolist() == [[1, -1, -1, 1]]
    assert doubled(coords).tolist() == [[1, -2, -4, 6]]


def test_find_gives_rows_or_their_number():
    cells = random_set()
    order = torch.randperm(len(cells))
    assert torch.equal(cells.find(cells.keys[order]), order)
    missing = pack(torch.tensor([[0, 30, 30, 30], [1, -30, 0, 0]]))
    assert cells.find(missing).tolist() == [len(cells)] * 2


@pytest.mark.parametrize('span', [5, 300])
def test_neighbours_are_the_same_by_table_and_by_search(span):
    cells = random_set(span=span)
    found = cells.neighbour_rows(cells.coords, OFFSETS)
    for row, coords in zip(found.tolist(), cells.coords.tolist(), strict=True):
        for got, (x, y, z) in zip(row, OFFSETS, strict=True):
            wanted = [coords[0], coords[1] + x, coords[2] + y, coords[3] + z]
            equal = (cells.coords == torch.tensor(wanted)).all(1).nonzero()
            assert got == (int(equal[0]) if len(equal) else len(cells))


def test_neighbours_of_nothing():
    nothing = VoxelSet(torch.zeros(0, 4, dtype=torch.int32), 3)
    base = torch.tensor([[0, 1, 2, 3]])
    assert nothing.neighbour_rows(base, OFFSETS).tolist() == [[0, 0, 0]]
    assert nothing.find(pack(base)).tolist() == [0]
    assert len(nothing.coarser()) == 0
    assert nothing.sample_sizes == [0, 0, 0]


def test_coarser_cells_are_built_once():
    cells = random_set()
    assert torch.equal(
        cells.coarser().coords, torch.unique(halved(cells.coords), dim=0)
    )
    assert cells.coarser() is cells.coarser()


def test_union_holds_all_cells():
    a, b = random_set(seed=1), random_set(seed=2)
    both = union([a, b])
    assert torch.equal(
        both.coords, torch.unique(torch.cat([a.coords, b.coords]), dim=0)
    )
    assert torch.equal(both.coords[a.rows_in(both)], a.coords)
    assert union([a, a]) is a


def test_rows_in_a_set_that_lacks_cells():
    a, b = random_set(seed=1), random_set(seed=2)
    with pytest.raises(ValueError, match='are missing in the target set'):
        a.rows_in(b)


def test_samples_do_not_mix():
    coords = torch.tensor([[0, 0, 0, 0], [1, 0, 0, 1]], dtype=torch.int32)
    cells = VoxelSet(coords, 2)
    assert (
        cells.neighbour_rows(coords, [(0, 0, 1), (0, 0, -1)]).tolist() == [[2, 2]] * 2
    )
