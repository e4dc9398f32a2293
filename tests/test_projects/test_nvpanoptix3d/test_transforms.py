"""The occupancy target of depth planes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmp3d.geometry import (
    DepthPlanes,
    frustum_mask,
    scale_intrinsics,
    visible_voxels,
)
from mmp3d.registry import TRANSFORMS
from mmp3d.structures import FrustumGrid
from projects.NvPanoptix3D.nvpanoptix3d.transforms import (
    PlaneOccupancyTarget,
    plane_occupancy,
)

GRID = FrustumGrid(dims=(24, 16, 32), voxel_size=0.3, depth_range=(0.5, 5.0))
K = np.array([[28.0, 0, 19.5], [0, 26.0, 11.5], [0, 0, 1]])
SIZE, PLANE, PLANES = (24, 40), (6, 10), 15


def _results(**changes) -> dict:
    results = {
        'K': K,
        'img_shape': SIZE,
        'grid': GRID,
        'frustum_mask': frustum_mask(K, SIZE, GRID).numpy(),
        'gt_tudf': np.random.rand(*GRID.dims).astype(np.float32) * 300,
    }
    return results | changes


def _transform(**options) -> PlaneOccupancyTarget:
    return PlaneOccupancyTarget(PLANES, PLANE, **options)


def test_an_occupied_voxel_marks_its_cell_and_the_neighbours():
    planes = DepthPlanes(4, 6.0, (5, 6))
    cell = (1 * 5 + 0) * 6 + 3  # plane 1, row 0, column 3
    target = plane_occupancy(np.array([True]), np.array([cell]), planes)
    expected = np.zeros((4, 5, 6), dtype=bool)
    expected[0:3, 0:2, 2:5] = True
    np.testing.assert_array_equal(target, expected)


def test_any_occupied_voxel_of_a_cell_counts():
    planes = DepthPlanes(3, 6.0, (3, 3))
    cells = np.array([13, 13, 13])
    for occupied in ([True, False, False], [False, False, True]):
        assert plane_occupancy(np.array(occupied), cells, planes).all()


def test_target_is_that_of_the_definition():
    results = _results()
    target = _transform()(dict(results))['gt_plane_occupancy']
    reduced = torch.from_numpy(scale_intrinsics(K, SIZE, PLANE, corner_aligned=True))
    mask = torch.from_numpy(results['frustum_mask'])
    voxels = visible_voxels(reduced.float(), PLANE, GRID, mask)
    expected = np.zeros((PLANES, *PLANE), dtype=bool)
    for cell, (u, v), d in zip(
        voxels.coords.tolist(), voxels.uv.tolist(), voxels.depth.tolist(), strict=True
    ):
        if results['gt_tudf'][tuple(cell)] < 12:
            centre = min(int(d * PLANES / 5.0), PLANES - 1), int(v), int(u)
            window = tuple(slice(max(c - 1, 0), c + 2) for c in centre)
            expected[window] = True
    assert 0 < expected.mean() < 1
    assert target.dtype == bool
    np.testing.assert_array_equal(target, expected)


def test_cameras_grids_and_masks_are_not_mixed_up():
    transform = _transform()
    other_mask = np.zeros(GRID.dims, dtype=bool)
    other_mask[:12] = True
    flipped = K.copy()
    flipped[0, 2] = 25
    cases = [
        _results(),
        _results(K=flipped),
        _results(img_shape=(48, 40)),
        _results(grid=FrustumGrid(GRID.dims, 0.25, GRID.depth_range)),
        _results(frustum_mask=other_mask),
    ]
    for results in cases + cases[::-1]:
        alone = _transform()(dict(results))['gt_plane_occupancy']
        cached = transform(dict(results))['gt_plane_occupancy']
        np.testing.assert_array_equal(cached, alone)


def test_a_narrower_band_marks_fewer_cells():
    results = _results()
    wide = _transform()(dict(results))['gt_plane_occupancy']
    narrow = _transform(band=3.0)(dict(results))['gt_plane_occupancy']
    assert narrow.sum() < wide.sum()
    assert not (narrow & ~wide).any()


def test_an_empty_frustum_is_unoccupied():
    results = _results(frustum_mask=np.zeros(GRID.dims, dtype=bool))
    assert not _transform()(results)['gt_plane_occupancy'].any()


def test_a_config_builds_it():
    built = TRANSFORMS.build({'type': 'PlaneOccupancyTarget', 'num_planes': 50})
    assert 'num_planes=50' in repr(built)


def test_wrong_numbers_are_refused():
    with pytest.raises(ValueError, match='num_planes of PlaneOccupancyTarget'):
        PlaneOccupancyTarget(num_planes=0)
    with pytest.raises(ValueError, match='band of PlaneOccupancyTarget'):
        PlaneOccupancyTarget(band=0.0)
