"""Sparse voxels: order, duplicates, union, pruning, dense grids."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from mmp3d.sparse import (
    SparseVoxels,
    add,
    clip,
    concatenate,
    from_dense,
    inside,
    merge,
    per_sample,
    prune,
    to_dense,
)


def voxels(rows, feats, stride=1, batch_size=2):
    return SparseVoxels(
        torch.tensor(rows, dtype=torch.int32).view(-1, 4),
        torch.tensor(feats, dtype=torch.float32).view(len(rows), -1),
        stride,
        batch_size,
    )


def test_merge_sorts_and_keeps_the_first_of_equal_cells():
    given = voxels(
        [[1, 0, 0, 0], [0, 2, -1, 5], [1, 0, 0, 0], [0, -3, 7, 7]], [[1], [2], [3], [4]]
    )
    merged = merge(given)
    assert merged.coords.tolist() == [[0, -3, 7, 7], [0, 2, -1, 5], [1, 0, 0, 0]]
    assert merged.feats[:, 0].tolist() == [4, 2, 1]
    assert len(given) == 4


def test_merge_leaves_canonical_voxels_alone():
    given = voxels([[0, 0, 0, 1], [0, 0, 1, 0]], [[1], [2]])
    assert merge(given) is given


def test_merge_passes_gradients_to_the_kept_rows():
    given = voxels([[0, 1, 1, 1], [0, 0, 0, 0], [0, 1, 1, 1]], [[1], [2], [3]])
    given.feats.requires_grad_()
    merge(given).feats.sum().backward()
    assert given.feats.grad[:, 0].tolist() == [1, 1, 0]


def test_unsorted_and_repeated_rows_are_refused_by_name():
    with pytest.raises(ValueError, match=r'1 of 2 rows are not; call merge\(\)'):
        _ = voxels([[0, 0, 0, 2], [0, 0, 0, 1]], [[1], [2]]).cells
    with pytest.raises(ValueError, match='call merge'):
        _ = voxels([[0, 0, 0, 1], [0, 0, 0, 1]], [[1], [2]]).cells


def test_samples_outside_the_batch_are_refused():
    with pytest.raises(ValueError, match=r'0 \.\.\. 1, got 0 \.\.\. 2'):
        _ = voxels([[0, 0, 0, 0], [2, 0, 0, 0]], [[1], [2]]).cells


def test_coordinates_beyond_the_range_are_refused():
    with pytest.raises(ValueError, match=r'within \+-32000 cells'):
        _ = voxels([[0, 0, 40000, 0]], [[1]]).cells


def test_concatenate_pads_with_zeros():
    a = voxels([[0, 0, 0, 0], [1, 2, 2, 2]], [[1, 2], [3, 4]])
    b = voxels([[0, 0, 0, -1], [1, 2, 2, 2]], [[5], [6]])
    both = concatenate(a, b)
    assert both.coords.tolist() == [[0, 0, 0, -1], [0, 0, 0, 0], [1, 2, 2, 2]]
    assert both.feats.tolist() == [[0, 0, 5], [1, 2, 0], [3, 4, 6]]


def test_add_sums_where_both_have_a_voxel():
    a = voxels([[0, 0, 0, 0], [1, 2, 2, 2]], [[1], [3]])
    b = voxels([[0, 0, 0, -1], [1, 2, 2, 2]], [[5], [6]])
    assert add(a, b).feats[:, 0].tolist() == [5, 1, 9]


def test_adding_nothing_changes_nothing():
    a = voxels([[0, 0, 0, 0], [1, 2, 2, 2]], [[1], [3]])
    nothing = prune(a, torch.zeros(2, dtype=torch.bool))
    for total in (add(a, nothing), add(nothing, a)):
        assert torch.equal(total.coords, a.coords)
        assert torch.equal(total.feats, a.feats)


def test_strides_and_batches_must_agree():
    a = voxels([[0, 0, 0, 0]], [[1]])
    with pytest.raises(ValueError, match='one stride were expected, got 1 and 2'):
        add(a, voxels([[0, 0, 0, 0]], [[1]], stride=2))
    with pytest.raises(
        ValueError, match=r'different size cannot be united, got \[2, 3'
    ):
        concatenate(a, voxels([[0, 0, 0, 0]], [[1]], batch_size=3))


def test_other_rows_are_another_set_of_cells():
    a = voxels([[0, 0, 0, 0], [0, 0, 0, 2]], [[1], [2]])
    assert a.cells is a.with_feats(a.feats + 1).cells
    assert prune(a, torch.tensor([True, False])).cells is not a.cells


def test_inside_and_clip_look_at_every_axis():
    rows = [[0, 0, 0, -1], [0, 0, 0, 6], [0, 0, 4, 0], [0, 3, 0, 0], [0, 2, 3, 5]]
    given = voxels(rows, [[1], [2], [3], [4], [5]])
    assert inside(given, (3, 4, 6)).tolist() == [False, False, False, False, True]
    assert clip(given, (3, 4, 6)).feats.tolist() == [[5]]


def test_dense_and_back():
    torch.manual_seed(0)
    mask = torch.rand(2, 3, 4, 5) > 0.6
    volume = torch.randn(2, 7, 3, 4, 5)
    sparse = from_dense(volume, mask, stride=4)
    assert torch.equal(sparse.coords.long(), mask.nonzero())
    assert sparse.cells.sample_sizes == mask.flatten(1).sum(1).tolist()
    dense = to_dense(sparse, (3, 4, 5), fill=9.0)
    expected = torch.where(mask[:, None], volume, 9.0)
    assert_close(dense, expected)


def test_to_dense_drops_what_lies_outside_and_has_gradients():
    given = voxels([[0, -1, 0, 0], [0, 1, 0, 2]], [[1], [2]])
    given.feats.requires_grad_()
    dense = to_dense(given, (2, 1, 3))
    assert dense.shape == (2, 1, 2, 1, 3)
    assert dense.sum() == 2
    dense.sum().backward()
    assert given.feats.grad[:, 0].tolist() == [0, 1]


def test_no_voxel_at_all():
    nothing = SparseVoxels(torch.zeros(0, 4).int(), torch.zeros(0, 3), 1, 2)
    assert len(merge(nothing)) == 0
    assert concatenate(nothing, nothing).feats.shape == (0, 6)
    assert to_dense(nothing, (2, 3, 4), fill=3.0).eq(3).all()
    assert nothing.cells.sample_sizes == [0, 0]
    assert [len(rows) for rows in per_sample(nothing)] == [0, 0]
    assert (
        len(from_dense(torch.zeros(2, 3, 2, 2, 2), torch.zeros(2, 2, 2, 2) > 0, 1)) == 0
    )
