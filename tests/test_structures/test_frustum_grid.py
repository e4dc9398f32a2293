"""The grid, its coarser levels and its lattice."""

from __future__ import annotations

import pytest

from mmp3d.structures import FrustumGrid


def test_published_lattice():
    x, y, z = FrustumGrid().origin_metres
    assert (x, y) == pytest.approx((-3.84, -3.84))
    assert z == pytest.approx(-0.64)


def test_coarser_grid_covers_the_same_space():
    grid = FrustumGrid(dims=(64, 32, 16), voxel_size=0.1)
    half = grid.coarser(2)
    assert half.dims == (32, 16, 8)
    assert half.voxel_size == pytest.approx(0.2)
    assert half.origin_metres == pytest.approx(grid.origin_metres)
    assert grid.coarser(1) is grid


def test_given_origin_is_in_voxels():
    grid = FrustumGrid(origin=(-127.1, -127.9, -21.7))
    assert grid.origin_metres == pytest.approx((-3.813, -3.837, -0.651))
    assert grid.coarser(2).origin_metres == pytest.approx((-3.813, -3.837, -0.651))


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(dims=(256, 256, 250)), 'multiples of 8'),
        (dict(voxel_size=0.0), 'voxel_size must be positive'),
        (dict(depth_range=(6.0, 0.4)), '0 < near < far'),
        (dict(truncation=-1.0), 'truncation must be positive'),
    ],
)
def test_impossible_grids_are_refused(options: dict, words: str):
    with pytest.raises(ValueError, match=words):
        FrustumGrid(**options)
