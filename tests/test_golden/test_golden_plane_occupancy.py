"""The multi-plane occupancy target against recorded ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden import Golden, golden_files, load
from golden_grid import cubic_grid

from mmp3d.geometry import DepthPlanes, VisibleVoxels
from projects.NvPanoptix3D.nvpanoptix3d.transforms import (
    PlaneOccupancyTarget,
    plane_occupancy,
)

NEAR = 0.4  # metres, the published depth range


def _check(target: np.ndarray, golden: Golden, image: int, allowed: int) -> None:
    certain = ~golden.outputs['ambiguous'][image]
    differs = target != golden.outputs['occupancy'][image].astype(bool)
    assert (differs & certain).sum() <= allowed


@pytest.mark.parametrize('path', golden_files('I_multiplane_occupancy*.npz'))
def test_target_of_recorded_pixels(path):
    golden = load(path)
    meta = golden.meta
    planes = DepthPlanes(
        meta['num_planes'], meta['depth_max'], tuple(meta['depth_size_hw'])
    )
    for i, kept in enumerate(golden.inputs['kept']):
        mapping = torch.from_numpy(golden.inputs['mapping'][i][kept])
        voxels = VisibleVoxels(
            torch.from_numpy(np.argwhere(kept)), mapping[:, 1:3], mapping[:, 4]
        )
        occupied = golden.inputs['occupancy'][i][kept].astype(bool)
        cells = voxels.cells(planes).numpy()
        _check(plane_occupancy(occupied, cells, planes), golden, i, allowed=0)


@pytest.mark.parametrize('path', golden_files('I_multiplane_occupancy*.npz'))
def test_target_of_the_transform(path):
    golden = load(path)
    meta = golden.meta
    size = tuple(meta['depth_size_hw'])
    transform = PlaneOccupancyTarget(meta['num_planes'], size, band=12.0)
    grid = cubic_grid(meta['frustum_dims'], meta['voxel_size'], NEAR, meta['depth_max'])
    for i, kept in enumerate(golden.inputs['kept']):
        results = transform(
            {
                'K': golden.inputs['intrinsic'][i, :3, :3].astype(np.float64),
                'img_shape': size,
                'grid': grid,
                'frustum_mask': kept,
                'gt_tudf': np.where(golden.inputs['occupancy'][i], 0.0, 12.0),
            }
        )
        # A voxel next to a pixel's border can fall to either side; it marks 27 cells.
        _check(results['gt_plane_occupancy'], golden, i, allowed=27)
