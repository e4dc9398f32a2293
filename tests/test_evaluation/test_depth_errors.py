"""Depth errors of one image."""

import numpy as np
import pytest

from mmp3d.evaluation.functional import depth_errors


def test_hand_worked_errors_over_the_valid_pixels():
    gt = np.array([[2.0, 4.0, 0.0], [1.0, 0.3, 7.0]])
    pred = np.array([[3.0, 4.0, 9.0], [0.0, 9.0, 9.0]])
    sums = depth_errors(pred, gt, (0.4, 6.0))
    assert sums.num_pixels == 3
    np.testing.assert_allclose(sums.relative, 0.5 + 0 + 1)
    np.testing.assert_allclose(sums.squared, 1 + 0 + 1)
    assert sums.within == 1


def test_a_ratio_of_exactly_1_25_is_outside():
    sums = depth_errors(np.array([[1.25, 1.24]]), np.ones((1, 2)), (0.4, 6.0))
    assert sums.within == 1


def test_no_valid_pixel():
    assert depth_errors(np.ones((2, 3)), np.zeros((2, 3)), (0.4, 6.0)).num_pixels == 0


def test_bad_maps_are_refused():
    # Where the shape annotations are checked, they refuse first, with a TypeError.
    with pytest.raises((ValueError, TypeError), match=r'resize the|Type-check error'):
        depth_errors(np.ones((2, 3)), np.ones((3, 2)), (0.4, 6.0))
    with pytest.raises(ValueError, match='1 predicted depths are not finite'):
        depth_errors(np.array([[np.nan, 1]]), np.ones((1, 2)), (0.4, 6.0))
