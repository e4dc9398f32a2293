"""Which segments cover which cells."""

import numpy as np
import pytest

from mmp3d.evaluation.functional import SegmentCover


def _random_masks(num_segments, shape=(3, 4, 5), share=0.3, seed=0):
    return np.random.default_rng(seed).random((num_segments, *shape)) < share


@pytest.mark.parametrize('num_segments', [1, 7, 64, 65, 130])
def test_masks_come_back_whatever_the_number_of_words(num_segments):
    masks = _random_masks(num_segments)
    cover = SegmentCover.from_masks(masks)
    np.testing.assert_array_equal(cover.masks(), masks)
    np.testing.assert_array_equal(cover.areas(), masks.sum((1, 2, 3)))


@pytest.mark.parametrize('sizes', [(3, 5), (70, 2), (2, 70), (66, 129)])
def test_intersections_equal_the_pairwise_masks(sizes):
    ours, theirs = _random_masks(sizes[0], seed=1), _random_masks(sizes[1], seed=2)
    found = SegmentCover.from_masks(ours).intersections(SegmentCover.from_masks(theirs))
    expected = np.einsum('axyz,bxyz->ab', ours.astype(int), theirs.astype(int))
    np.testing.assert_array_equal(found, expected)


def test_area_within_a_mask():
    masks, inside = _random_masks(4), _random_masks(1, seed=3)[0]
    cover = SegmentCover.from_masks(masks)
    np.testing.assert_array_equal(
        cover.areas_within(inside), (masks & inside).sum((1, 2, 3))
    )


def test_ids_keep_the_given_order_and_ignore_others():
    ids = np.array([[5, 0, 2], [2, 9, 5]])
    cover = SegmentCover.from_ids(ids, [5, 2, 7])
    np.testing.assert_array_equal(cover.areas(), [2, 2, 0])
    np.testing.assert_array_equal(cover.masks()[1], ids == 2)


def test_no_segment_and_no_cell_are_fine():
    empty = SegmentCover.from_masks(np.zeros((0, 2, 3), bool))
    blank = SegmentCover.from_masks(np.zeros((4, 2, 3), bool))
    assert empty.areas().shape == (0,)
    np.testing.assert_array_equal(blank.areas(), np.zeros(4))
    assert empty.intersections(blank).shape == (0, 4)
    assert blank.intersections(empty).shape == (4, 0)
    assert blank.masks().shape == (4, 2, 3)
    assert SegmentCover.from_ids(np.zeros((0, 3), int), [1]).areas().tolist() == [0]


def test_different_domains_are_refused():
    one = SegmentCover.from_masks(_random_masks(2, (3, 4)))
    two = SegmentCover.from_masks(_random_masks(2, (4, 3)))
    with pytest.raises(ValueError, match='bring both to one grid'):
        one.intersections(two)


def test_bad_ids_are_refused():
    with pytest.raises(ValueError, match='must be unique'):
        SegmentCover.from_ids(np.zeros((2, 2), int), [1, 1])
    with pytest.raises(ValueError, match='from 0 on, got -1'):
        SegmentCover.from_ids(np.full((2, 2), -1), [1])
