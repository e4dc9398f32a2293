"""Where grids stand before a camera, and what the camera sees of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden import FOLDER

from mmp3d.geometry import (
    DepthPlanes,
    camera_to_grid,
    centre_grid,
    frustum_mask,
    project_points,
    scale_intrinsics,
    visible_voxels,
    voxel_axes,
    voxel_points,
)
from mmp3d.structures import FrustumGrid

K = torch.tensor(
    [[277.1281435, 0, 159.5], [0, 277.1281435, 119.5], [0, 0, 1]], dtype=torch.float64
)
SIZE = (240, 320)
PLANE = (120, 160)
SMALL = FrustumGrid(dims=(16, 24, 8), voxel_size=0.5, depth_range=(1.0, 4.0))
REAL_MASK = FOLDER.parent / 'data/uni3d_meta/front3d_frustum_mask.npz'


def _plane_K() -> torch.Tensor:
    return scale_intrinsics(K, SIZE, PLANE, corner_aligned=True).float()


def test_published_corners():
    placed = camera_to_grid(K, SIZE, FrustumGrid())
    near, far = placed.corners[:4], placed.corners[4:]
    for corners, low, high in (
        (near, (-0.23022, -0.17248, 0.4), (0.23166, 0.17393, 0.4)),
        (far, (-3.45328, -2.58725, 6.0), (3.47493, 2.60890, 6.0)),
    ):
        np.testing.assert_allclose(corners.amin(0), low, rtol=0, atol=1e-5)
        np.testing.assert_allclose(corners.amax(0), high, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ('stride', 'dims', 'padding'),
    [
        (1, (231, 174, 187), (12, 41, 34)),
        (2, (116, 87, 94), (6, 20, 17)),
        (4, (58, 44, 47), (3, 10, 8)),
        (8, (29, 22, 24), (1, 5, 4)),
    ],
)
def test_published_placement_of_the_levels(stride, dims, padding):
    placed = camera_to_grid(K, SIZE, FrustumGrid(), stride)
    assert tuple(placed.box_dims.tolist()) == dims
    assert tuple(placed.padding.floor().tolist()) == padding


def test_published_placement_of_the_reduced_plane():
    placed = camera_to_grid(_plane_K(), PLANE, FrustumGrid())
    minimum = (-114.74836, -85.88085, 13.33333)
    np.testing.assert_allclose(placed.minimum, minimum, rtol=0, atol=1e-4)
    assert placed.padding.tolist() == [12.5, 41, 34.5]


def test_smallest_corner_is_the_box_origin():
    placed = camera_to_grid(K, SIZE, SMALL)
    corner = torch.cat((placed.corners.amin(0), torch.ones(1, dtype=K.dtype)))
    origin = placed.cam2box @ corner
    np.testing.assert_allclose(origin, (0, 0, 0, 1), rtol=0, atol=1e-9)


def test_batched_cameras_are_placed_one_by_one():
    cameras = torch.stack((K, scale_intrinsics(K, SIZE, (300, 320))))
    placed = camera_to_grid(cameras, SIZE, SMALL)
    for i, camera in enumerate(cameras):
        alone = camera_to_grid(camera, SIZE, SMALL)
        torch.testing.assert_close(placed.cam2box[i], alone.cam2box)
        torch.testing.assert_close(placed.padding[i], alone.padding)


def test_voxels_stand_on_multiples_of_their_size():
    points = voxel_points(SMALL, torch.float64)
    assert points.shape == (16, 24, 8, 3)
    # -16 / 2 * 0.5, -24 / 2 * 0.5, -8 / 2 * 0.5 + (1 + 4) / 2
    np.testing.assert_allclose(points[0, 0, 0], (-4, -6, 0.5), rtol=0, atol=1e-12)
    np.testing.assert_allclose(points[3, 2, 1], (-2.5, -5, 1), rtol=0, atol=1e-12)


def test_published_lattice():
    x, y, z = voxel_axes(FrustumGrid())
    starts = [axis[0].item() for axis in (x, y, z)]
    np.testing.assert_allclose(starts, (-3.84, -3.84, -0.64), rtol=0, atol=1e-12)


def test_published_analytic_mask():
    mask = frustum_mask(K, SIZE, FrustumGrid())
    assert mask.sum() == 2_672_341
    inside = mask.nonzero()
    assert inside.amin(0).tolist() == [14, 42, 35]
    assert inside.amax(0).tolist() == [243, 214, 221]


@pytest.mark.parametrize('skew', [0.0, 40.0])
def test_mask_holds_the_voxels_that_project_into_the_image(skew):
    camera = K.clone()
    camera[0, 1] = skew
    points = voxel_points(SMALL, torch.float64)
    u, v = project_points(points.flatten(0, 2), camera).unbind(-1)
    z = points[..., 2].flatten()
    expected = (u >= 0) & (u < 320) & (v >= 0) & (v < 240) & (z >= 1) & (z <= 4)
    mask = frustum_mask(camera.numpy(), SIZE, SMALL)
    assert 0 < mask.sum() < mask.numel()
    assert torch.equal(mask.flatten(), expected)


def test_published_back_projection():
    grid = FrustumGrid()
    mask = torch.zeros(grid.dims, dtype=torch.bool)
    asked = [(60, 80, 200), (127, 128, 35), (128, 128, 100), (200, 180, 210)]
    for cell in asked:
        mask[cell] = True
    voxels = visible_voxels(_plane_K(), PLANE, grid, mask)
    # The second is nearer than 0.4 m.
    assert voxels.coords.tolist() == [list(asked[i]) for i in (0, 2, 3)]
    expected = [[26.3223, 22.1922], [79.0579, 59.7121], [132.431, 97.9481]]
    np.testing.assert_allclose(voxels.uv, expected, rtol=0, atol=1e-3)
    np.testing.assert_allclose(voxels.depth, [5.335, 2.335, 5.635], rtol=0, atol=1e-5)
    planes = DepthPlanes(100, 6.0, PLANE)
    assert planes.index(voxels.depth).tolist() == [88, 38, 93]
    assert voxels.cells(planes).tolist() == [
        (88 * 120 + 22) * 160 + 26,
        (38 * 120 + 59) * 160 + 79,
        (93 * 120 + 97) * 160 + 132,
    ]


@pytest.mark.skipif(not REAL_MASK.exists(), reason=f'{REAL_MASK} does not exist')
def test_published_number_of_visible_voxels():
    with np.load(REAL_MASK) as arrays:
        mask = torch.from_numpy(arrays['mask'][::-1, ::-1].copy())
    voxels = visible_voxels(_plane_K(), PLANE, FrustumGrid(), mask)
    assert len(voxels.coords) == 2_617_284


def test_a_depth_at_the_far_end_belongs_to_the_last_plane():
    planes = DepthPlanes(num_planes=100, far=6.0, size=PLANE)
    assert planes.index(torch.tensor([0.0, 0.06, 5.99, 6.0])).tolist() == [0, 1, 99, 99]


def test_an_empty_mask_shows_no_voxel():
    mask = torch.zeros(SMALL.dims, dtype=torch.bool)
    voxels = visible_voxels(K.float(), SIZE, SMALL, mask)
    assert voxels.coords.shape == (0, 3)
    assert voxels.cells(DepthPlanes(10, 4.0, SIZE)).shape == (0,)


def test_a_mask_of_another_grid_is_refused():
    mask = torch.zeros(8, 24, 16, dtype=torch.bool)
    with pytest.raises(ValueError, match=r'frustum_mask must have the shape .*16, 24'):
        visible_voxels(K.float(), SIZE, SMALL, mask)


def test_a_central_camera_leaves_the_grid_where_it_is():
    grid = FrustumGrid()
    assert centre_grid(K, SIZE, grid) is grid
    assert centre_grid(K.numpy(), SIZE, grid) is grid


@pytest.mark.parametrize(('cx', 'cy'), [(59.5, 119.5), (300.0, 20.0), (159.5, 400.0)])
def test_a_moved_grid_stands_where_the_liftings_put_it(cx, cy):
    camera = K.clone()
    camera[0, 2], camera[1, 2] = cx, cy
    unmoved = FrustumGrid(dims=(64, 64, 64), voxel_size=0.12)
    grid = centre_grid(camera, SIZE, unmoved)
    placed = camera_to_grid(camera, SIZE, grid)
    of_lifting = placed.minimum - placed.padding.floor()
    of_data = torch.tensor(grid.origin_metres) / grid.voxel_size
    assert (of_lifting - of_data).abs().max() <= 1.5
    # By whole voxels, and never twice.
    shift = of_data - torch.tensor(unmoved.origin_metres) / grid.voxel_size
    torch.testing.assert_close(shift, shift.round(), rtol=0, atol=1e-4)
    assert shift.abs().max() > 5
    assert centre_grid(camera, SIZE, grid) is grid
