from __future__ import annotations

import numpy as np
import pytest
import torch

from mmp3d import geometry
from mmp3d.datasets.transforms import RandomFlipReconstruction, ShortestEdgeResize
from mmp3d.datasets.transforms.geometric import mirror_volume, shortest_edge_size
from mmp3d.structures import FrustumGrid

GRID = FrustumGrid(dims=(16, 8, 24), voxel_size=0.25)
K = np.array([[20.0, 0, 15.0], [0, 21.0, 11.5], [0, 0, 1]])
SIZE = (24, 32)


def _results() -> dict:
    rng = np.random.default_rng(0)
    return {
        'img': rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8),
        'img_shape': SIZE,
        'K': K,
        'grid': GRID,
        'gt_depth_map': rng.random(SIZE, dtype=np.float32),
        'gt_semantic_map': rng.integers(0, 13, SIZE, dtype=np.int32),
        'gt_instance_map': rng.integers(0, 9, SIZE, dtype=np.int32),
        'gt_plane_depth': rng.random((12, 16), dtype=np.float32),
        'gt_tudf': rng.random(GRID.dims, dtype=np.float32),
        'gt_semantic_volume': rng.integers(0, 13, GRID.dims, dtype=np.uint8),
        'gt_instance_volume': rng.integers(0, 9, GRID.dims, dtype=np.int32),
        'gt_weights': rng.random(GRID.dims, dtype=np.float32),
        'frustum_mask': geometry.frustum_mask(K, SIZE, GRID).numpy(),
    }


@pytest.mark.parametrize(
    ('size', 'edge', 'cap', 'expected'),
    [
        ((240, 320), 240, 960, (240, 320)),
        ((240, 320), 448, 1333, (448, 597)),
        ((320, 240), 448, 1333, (597, 448)),
        ((240, 320), 480, 600, (450, 600)),
        ((241, 317), 120, 960, (120, 158)),
        ((300, 300), 45, 960, (45, 45)),
    ],
)
def test_the_short_edge_is_met_unless_the_cap_is_hit(size, edge, cap, expected):
    assert shortest_edge_size(size, edge, cap) == expected


def test_resize_keeps_the_camera_right():
    before = _results()
    after = ShortestEdgeResize((36,)).transform(dict(before))
    assert after['img'].shape == (36, 48, 3)
    assert after['img_shape'] == (36, 48)
    for key in ('gt_depth_map', 'gt_semantic_map', 'gt_instance_map'):
        assert after[key].shape == (36, 48)
        assert after[key].dtype == before[key].dtype
        assert set(np.unique(after[key])) <= set(np.unique(before[key]))
    np.testing.assert_allclose(after['K'], np.diag([1.5, 1.5, 1]) @ K)
    # A resized camera sees the same voxels; the file's mask need not change.
    same = geometry.frustum_mask(after['K'], (36, 48), GRID).numpy()
    np.testing.assert_array_equal(same, before['frustum_mask'])


def test_an_unchanged_size_changes_nothing():
    before = _results()
    after = ShortestEdgeResize((24,), 960).transform(dict(before))
    assert all(after[key] is before[key] for key in before)


def test_several_short_edges_are_drawn_from():
    resize = ShortestEdgeResize((24, 36, 48))
    heights = {resize.transform(_results())['img_shape'][0] for _ in range(30)}
    assert heights == {24, 36, 48}


def test_no_short_edge_is_refused():
    with pytest.raises(ValueError, match='at least one length'):
        ShortestEdgeResize(())
    with pytest.raises(ValueError, match='must be positive, got 0'):
        ShortestEdgeResize((0,))


def test_a_flipped_voxel_is_seen_in_the_flipped_pixel():
    points = geometry.voxel_points(GRID, torch.float64)
    before = _results()
    after = RandomFlipReconstruction(prob=1.0).transform(dict(before))
    for index in ((3, 2, 9), (15, 7, 23), (8, 4, 12), (1, 0, 5)):
        value = before['gt_instance_volume'][index]
        mirrored = (GRID.dims[0] - index[0], *index[1:])
        assert after['gt_instance_volume'][mirrored] == value
        u, v = geometry.project_points(points[index][None], torch.tensor(K))[0]
        new_u, new_v = geometry.project_points(
            points[mirrored][None], torch.tensor(after['K'])
        )[0]
        torch.testing.assert_close(new_u, SIZE[1] - 1 - u)
        torch.testing.assert_close(new_v, v)


def test_a_flipped_pixel_lifts_to_the_mirrored_point():
    before = _results()
    after = RandomFlipReconstruction(prob=1.0).transform(dict(before))
    points, mirrored = (
        geometry.unproject_depth(
            torch.tensor(r['gt_depth_map'], dtype=torch.float64), torch.tensor(r['K'])
        )
        for r in (before, after)
    )
    mirror = torch.tensor([-1.0, 1, 1], dtype=torch.float64)
    torch.testing.assert_close(mirrored.flip(1), points * mirror)


def test_the_flipped_frustum_is_that_of_the_flipped_camera():
    before = _results()
    after = RandomFlipReconstruction(prob=1.0).transform(dict(before))
    recomputed = geometry.frustum_mask(after['K'], SIZE, GRID).numpy()
    # The image spans [0, W) before and (-1, W - 1] after: borders differ by one pixel.
    differing = recomputed != after['frustum_mask']
    differing[0] = False  # has no partner
    points = geometry.voxel_points(GRID, torch.float64)[torch.tensor(differing)]
    u = geometry.project_points(points, torch.tensor(after['K']))[:, 0]
    at_border = ((u > -1.001) & (u < 0)) | ((u > SIZE[1] - 1) & (u < SIZE[1]))
    assert at_border.all()
    assert differing.sum() < 0.05 * recomputed.sum()


def test_the_plane_without_partner_is_free_space():
    after = RandomFlipReconstruction(prob=1.0).transform(_results())
    assert (after['gt_tudf'][0] == GRID.truncation).all()
    assert not after['gt_semantic_volume'][0].any()
    assert not after['gt_instance_volume'][0].any()
    assert not after['gt_weights'][0].any()
    assert not after['frustum_mask'][0].any()


def test_two_flips_restore_everything_but_the_first_plane():
    before = _results()
    flip = RandomFlipReconstruction(prob=1.0)
    after = flip.transform(flip.transform(dict(before)))
    for key in before:
        if key in ('grid', 'img_shape'):
            continue
        skip = 1 if before[key].ndim == 3 and before[key].shape == GRID.dims else 0
        np.testing.assert_allclose(after[key][skip:], before[key][skip:], err_msg=key)


def test_probability_zero_never_flips():
    before = _results()
    after = RandomFlipReconstruction(prob=0.0).transform(dict(before))
    assert all(after[key] is before[key] for key in before)
    with pytest.raises(ValueError, match='between 0 and 1'):
        RandomFlipReconstruction(prob=1.5)


def test_a_grid_beside_the_axis_is_mirrored_where_it_can_be():
    grid = FrustumGrid(dims=(8, 8, 8), voxel_size=1.0, origin=(-2.5, 0.0, 0.0))
    volume = np.arange(8)[:, None, None] * np.ones((8, 8, 8))
    # Index i stands at i - 2.5: 5 - i is its mirror image.
    mirrored = mirror_volume(volume, grid, fill=-1.0)
    assert mirrored[:, 0, 0].tolist() == [5, 4, 3, 2, 1, 0, -1, -1]
    odd = FrustumGrid(dims=(8, 8, 8), origin=(-2.3, 0.0, 0.0))
    with pytest.raises(ValueError, match='cannot be mirrored exactly'):
        mirror_volume(volume, odd, fill=-1.0)


@pytest.mark.parametrize(
    'transform', [RandomFlipReconstruction(1.0), ShortestEdgeResize((12,))]
)
def test_derived_targets_must_come_later(transform):
    with pytest.raises(ValueError, match=r"must come before .*\['gt_masks'\]"):
        transform.transform(_results() | {'gt_masks': np.zeros((1, *SIZE), bool)})
