"""Frustum placement and back projection against recorded numbers."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from golden import Golden, golden_files, load
from golden_grid import cubic_grid

from mmp3d.geometry import (
    VisibleVoxels,
    camera_to_grid,
    scale_intrinsics,
    visible_voxels,
)
from mmp3d.structures import FrustumGrid


@pytest.mark.parametrize('path', golden_files('G_frustum*.npz'))
def test_frustum_placement(path):
    golden = load(path)
    for name, case in golden.meta['cases'].items():
        K = golden.tensor(f'{name}/intrinsic')[:3, :3]
        width, height = case['image_size_wh']
        grid = cubic_grid(
            case['frustum_dim'],
            case['voxel_size'],
            case['depth_min'],
            case['depth_max'],
        )
        for stride in (1, 2, 4, 8):
            placed = camera_to_grid(K, (height, width), grid, stride)
            expected = {
                'camera2frustum': placed.cam2box,
                'padding_offsets': placed.padding.floor().float(),
            }
            for key, value in expected.items():
                recorded = golden.outputs[f'{name}/{key}_ratio{1 / stride}']
                np.testing.assert_allclose(value.numpy(), recorded, rtol=0, atol=1e-9)
            if stride == 1:
                corners = golden.outputs[f'{name}/frustum']
                np.testing.assert_allclose(placed.corners, corners, rtol=0, atol=1e-9)
                dims = golden.outputs[f'{name}/volume_dims']
                assert placed.box_dims.tolist() == dims.tolist()


@pytest.mark.parametrize('path', golden_files('G_frustum*.npz'))
def test_scaled_intrinsics(path):
    golden = load(path)
    K = golden.inputs['front3d/intrinsic'][:3, :3]
    width, height = golden.meta['cases']['front3d']['image_size_wh']
    for name, recorded in golden.outputs.items():
        size = re.fullmatch(r'(?:scaled|adjusted)_intrinsic_(\d+)x(\d+)', name)
        if size is None:
            continue
        to_size = int(size[2]), int(size[1])
        scaled = scale_intrinsics(K, (height, width), to_size, corner_aligned=True)
        np.testing.assert_allclose(scaled, recorded[:3, :3], rtol=0, atol=1e-9)


def _volume(voxels: VisibleVoxels, grid: FrustumGrid) -> np.ndarray:
    volume = np.zeros(grid.dims, dtype=bool)
    volume[tuple(voxels.coords.numpy().T)] = True
    return volume


def _grid(meta: dict) -> FrustumGrid:
    return cubic_grid(
        meta['frustum_dims'], meta['voxel_size'], meta['depth_min'], meta['depth_max']
    )


def _check_pixels(
    voxels: VisibleVoxels, mapping: np.ndarray, chosen: np.ndarray, atol: float
) -> None:
    """Compare with the recorded rows (image, u, v, z index, depth) that are chosen."""
    ours = torch.cat((voxels.uv, voxels.coords[:, 2:], voxels.depth[:, None]), dim=1)
    np.testing.assert_allclose(
        ours.numpy()[chosen], mapping[chosen, 1:], rtol=0, atol=atol
    )


def _check_cases(golden: Golden) -> None:
    """Several small grids, whole batches."""
    for name, case in golden.meta['cases'].items():
        grid = _grid(case)
        size = tuple(case['depth_size_hw'])
        masks = golden.tensor(f'{name}/frustum_mask')
        for i, K in enumerate(golden.tensor(f'{name}/intrinsic')):
            voxels = visible_voxels(K[:3, :3], size, grid, masks[i])
            recorded = golden.outputs[f'{name}/kept'][i]
            assert (_volume(voxels, grid) != recorded).sum() <= 3
            cells = tuple(voxels.coords.numpy().T)
            mapping = golden.outputs[f'{name}/mapping'][i][cells]
            _check_pixels(voxels, mapping, recorded[cells], 1e-4)


def _check_whole_grid(golden: Golden) -> None:
    """One large grid, stored as bits and samples."""
    grid = _grid(golden.meta)
    size = tuple(golden.meta['depth_size_hw'])
    mask = torch.ones(grid.dims, dtype=torch.bool)
    voxels = visible_voxels(golden.tensor('intrinsic')[0, :3, :3], size, grid, mask)
    bits = np.unpackbits(golden.outputs['kept_bits'], count=mask.numel())
    assert (_volume(voxels, grid).ravel() != bits.astype(bool)).sum() <= 20

    sampled = golden.outputs['mapping_sampled']
    step = -(-grid.dims[0] // len(sampled))
    on_step = (voxels.coords % step == 0).all(dim=1)
    voxels = VisibleVoxels(
        voxels.coords[on_step], voxels.uv[on_step], voxels.depth[on_step]
    )
    mapping = sampled[tuple((voxels.coords // step).numpy().T)]
    chosen = mapping[:, 0] >= 0
    assert (~chosen).sum() <= 20
    _check_pixels(voxels, mapping, chosen, 1e-3)


@pytest.mark.parametrize('path', golden_files('G_back_projection*.npz'))
def test_back_projection(path):
    golden = load(path)
    if 'cases' in golden.meta:
        _check_cases(golden)
    else:
        _check_whole_grid(golden)
