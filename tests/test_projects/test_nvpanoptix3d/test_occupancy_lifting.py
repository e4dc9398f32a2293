"""Voxels behind the visible surface get features."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from test_projects.test_nvpanoptix3d.lifting_inputs import (
    camera_batch,
    single,
    view,
)
from torch import Tensor

from mmp3d.geometry import scale_intrinsics, visible_voxels
from mmp3d.structures import FrustumGrid
from projects.NvPanoptix3D.nvpanoptix3d.occupancy_lifting import OccupancyLifting

GRID = FrustumGrid(dims=(24, 16, 32), voxel_size=0.3, depth_range=(0.5, 5.0))
K = torch.tensor([[14.0, 0, 9.5], [0, 13.0, 5.5], [0, 0, 1]], dtype=torch.float64)
PLANE = (6, 10)


def _inputs(num_images: int, room_mask: Tensor | None = None):
    sizes = ((12, 20), (10, 18))[:num_images]
    return camera_batch(K, sizes, (16, 20), GRID, room_mask)


def _image(stuff_share: float):
    """Random depth; each pixel shows stuff with this probability."""
    probs = torch.zeros(13, *PLANE)
    stuff = torch.rand(PLANE) < stuff_share
    probs[10][stuff] = 0.9
    probs[3][~stuff] = 0.8
    return view(0.3 + 5 * torch.rand(PLANE), probs)


def _fill_gaps_slowly(values: list[float]) -> list[float]:
    values = list(values)
    for v in range(len(values)):
        if values[v] == 0:
            before = [x for x in values[:v] if x > 0]
            after = [x for x in values[v + 1 :] if x > 0]
            values[v] = max(min(before, default=0.0), min(after, default=0.0))
    return values


def _window(cell: tuple[int, ...], sizes: tuple[int, ...], radius: int):
    ranges = [
        range(max(c - radius, 0), min(c + radius + 1, n))
        for c, n in zip(cell, sizes, strict=True)
    ]
    return itertools.product(*ranges)


def _active_slowly(image, num_planes: int, erosion: int) -> set[tuple[int, int, int]]:
    """(plane, row, column) of the filled cells, pixel by pixel."""
    height, width = PLANE
    far = GRID.depth_range[1]
    depth = image.depth.clamp(max=far)
    stuff = (image.panoptic.class_probs.argmax(dim=0) >= 10).tolist()
    envelope = torch.zeros(PLANE)
    for row, col in itertools.product(range(height), range(width)):
        window = _window((row, col), PLANE, erosion // 2)
        if all(stuff[r][c] for r, c in window):
            envelope[row, col] = depth[row, col]
    columns = _fill_gaps_slowly(envelope.amax(dim=0).tolist())
    rows = _fill_gaps_slowly(envelope.amax(dim=1).tolist())
    active = set()
    for row, col in itertools.product(range(height), range(width)):
        surface = math.floor(depth[row, col].item() / far * num_planes)
        end = math.floor(min(columns[col], rows[row]) / far * num_planes)
        for plane in range(num_planes):
            if surface - 3 < plane < end + 5:
                active.add((plane, row, col))
    return active


def _lift_slowly(logits: Tensor, image, inputs, erosion: int):
    """Rows of one image by the definition, voxel by voxel."""
    num_planes, far = len(logits), GRID.depth_range[1]
    reduced = scale_intrinsics(inputs.K[0, 0], inputs.image_sizes[0], PLANE, True)
    voxels = visible_voxels(reduced.float(), PLANE, GRID, inputs.frustum_mask[0])
    active = _active_slowly(image, num_planes, erosion)
    visible = [tuple(cell) for cell in voxels.coords.tolist()]
    filled, feats = [], []
    for cell, (u, v), d in zip(
        visible, voxels.uv.tolist(), voxels.depth.tolist(), strict=True
    ):
        row, col = int(v), int(u)
        plane = min(int(d * num_planes / far), num_planes - 1)
        if (plane, row, col) not in active:
            continue
        behind = plane - math.floor(
            min(image.depth[row, col].item(), far) / far * num_planes
        )
        sign = (behind > 0) - (behind < 0)
        probability = logits[plane, row, col].sigmoid().item()
        distance = abs(behind) * far / num_planes
        probs = image.panoptic.class_probs[:, row, col].tolist()
        filled.append(cell)
        feats.append([*probs, probability, sign, distance])
    taken = set(filled)
    near = {n for cell in filled for n in _window(cell, GRID.dims, 2)}
    halo = [cell for cell in visible if cell in near and cell not in taken]
    rows = filled + [tuple(c // 2 * 2 for c in cell) for cell in halo]
    feats += [[0.0] * 16 for _ in halo]
    kept = [
        (0, *(c - 1 for c in cell), *feat)
        for cell, feat in zip(rows, feats, strict=True)
        if all(0 <= c - 1 < n - 1 for c, n in zip(cell, GRID.dims, strict=True))
    ]
    return torch.tensor(kept, dtype=torch.float64)


@pytest.mark.parametrize(('stuff_share', 'erosion'), [(0.97, 3), (0.7, 1), (0.2, 1)])
def test_rows_are_those_of_the_definition(stuff_share, erosion):
    inputs = _inputs(1)
    logits, image = torch.randn(1, 12, *PLANE), _image(stuff_share)
    lifting = OccupancyLifting(erosion=erosion, duplicates='all')
    lifted = lifting(logits, [image], inputs)
    expected = _lift_slowly(logits[0], image, inputs, erosion)
    assert len(lifted.coords) > 50
    torch.testing.assert_close(lifted.coords.double(), expected[:, :4])
    torch.testing.assert_close(lifted.feats.double(), expected[:, 4:])


def test_of_equal_voxels_the_first_row_survives():
    inputs, logits, image = _inputs(1), torch.randn(1, 12, *PLANE), _image(0.7)
    every = OccupancyLifting(erosion=1, duplicates='all')(logits, [image], inputs)
    merged = OccupancyLifting(erosion=1)(logits, [image], inputs)
    cells = every.coords.tolist()
    assert len(merged.coords) < len(cells)
    assert merged.coords.tolist() == sorted(map(list, {tuple(c) for c in cells}))
    for cell, feats in zip(merged.coords.tolist(), merged.feats, strict=True):
        assert torch.equal(feats, every.feats[cells.index(cell)])


@pytest.mark.parametrize('with_room', [False, True])
def test_a_batch_is_its_images_one_by_one(with_room):
    room = torch.rand(2, *PLANE) > 0.3 if with_room else None
    inputs = _inputs(2, room)
    logits, images = torch.randn(2, 12, *PLANE), [_image(0.8), _image(0.5)]
    lifting = OccupancyLifting(erosion=1)
    together = lifting(logits, images, inputs)
    assert together.batch_size == 2
    for i in range(2):
        alone = lifting(logits[i : i + 1], images[i : i + 1], single(inputs, i))
        rows = together.coords[:, 0] == i
        assert torch.equal(together.coords[rows, 1:], alone.coords[:, 1:])
        assert torch.equal(together.feats[rows], alone.feats)


def test_pixels_outside_the_room_fill_nothing():
    inputs = _inputs(1, torch.zeros(1, *PLANE, dtype=torch.bool))
    lifted = OccupancyLifting()(torch.randn(1, 12, *PLANE), [_image(0.8)], inputs)
    # One empty voxel in the middle: index (11, 7, 15), rounded down to even, less 1.
    assert lifted.coords.tolist() == [[0, 9, 5, 13]]
    assert not lifted.feats.any()


def test_without_stuff_only_the_first_planes_are_filled():
    probs = torch.zeros(13, *PLANE)
    probs[3] = 1
    far_away = view(torch.full(PLANE, 4.9), probs)
    lifted = OccupancyLifting()(torch.randn(1, 12, *PLANE), [far_away], _inputs(1))
    # Plane 4 is the last of them, and lies before the surface.
    assert not lifted.feats.any()


def test_a_missing_frustum_mask_is_refused():
    inputs = replace(_inputs(1), frustum_mask=None)
    with pytest.raises(ValueError, match=r'needs CameraBatch\.frustum_mask'):
        OccupancyLifting()(torch.randn(1, 12, *PLANE), [_image(0.8)], inputs)


def test_planes_of_another_size_are_refused():
    with pytest.raises(ValueError, match='must agree in size'):
        OccupancyLifting()(torch.randn(1, 12, 5, 10), [_image(0.8)], _inputs(1))


@pytest.mark.parametrize('name', ['erosion', 'halo'])
def test_even_windows_are_refused(name):
    with pytest.raises(ValueError, match=f'{name} of OccupancyLifting must be odd'):
        OccupancyLifting(**{name: 4})
