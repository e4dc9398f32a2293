"""Surfaces of distance fields."""

import numpy as np
import pytest

from mmp3d.geometry.mesh import mesh_from_volume
from mmp3d.structures import FrustumGrid

GRID = FrustumGrid(dims=(16, 24, 32), voxel_size=0.1)
WALL = 5


def _wall_at_20():
    """A thin wall across the grid, labelled only where it is nearest."""
    tudf = np.abs(np.arange(32, dtype=np.float32) - 20)
    tudf = np.broadcast_to(tudf, GRID.dims).copy()
    return tudf, np.where(tudf == 0, WALL, 0).astype(np.int32)


def test_a_wall_has_two_sheets_one_voxel_before_and_behind_it():
    mesh = mesh_from_volume(*_wall_at_20(), GRID)
    origin = np.array(GRID.origin_metres)
    z = (mesh.vertices[:, 2] - origin[2]) / GRID.voxel_size
    np.testing.assert_allclose(np.unique(np.round(z, 3)), [19, 21])
    np.testing.assert_allclose(mesh.vertices.min(0)[:2], origin[:2], atol=1e-5)
    far = origin + 0.1 * (np.array(GRID.dims) - 1)
    np.testing.assert_allclose(mesh.vertices.max(0)[:2], far[:2], atol=1e-5)


def test_normals_and_triangles_look_to_the_free_side():
    mesh = mesh_from_volume(*_wall_at_20(), GRID)
    z = (mesh.vertices[:, 2] - GRID.origin_metres[2]) / GRID.voxel_size
    side = np.sign(z - 20)
    np.testing.assert_allclose(mesh.normals[:, 2], side, atol=1e-5)
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    around = np.cross(b - a, c - a)
    assert (np.einsum('mc,mc->m', around, mesh.normals[mesh.faces[:, 0]]) > 0).all()


def test_vertices_take_the_nearest_label():
    mesh = mesh_from_volume(*_wall_at_20(), GRID)
    assert set(mesh.ids) == {WALL}


def test_surface_without_a_label_near_it_has_none():
    tudf, ids = _wall_at_20()
    ids[8:] = 0
    mesh = mesh_from_volume(tudf, ids, GRID)
    x = (mesh.vertices[:, 0] - GRID.origin_metres[0]) / GRID.voxel_size
    assert set(mesh.ids[x < 9]) == {WALL}
    assert set(mesh.ids[x > 12]) == {0}


def test_a_mask_cuts_the_surface_without_closing_it():
    tudf, ids = _wall_at_20()
    inside = np.zeros(GRID.dims, bool)
    inside[5:11] = True
    mesh = mesh_from_volume(tudf, ids, GRID, inside=inside)
    x = (mesh.vertices[:, 0] - GRID.origin_metres[0]) / GRID.voxel_size
    np.testing.assert_allclose([x.min(), x.max()], [5, 10], atol=1e-4)
    assert (np.abs(mesh.normals[:, 2]) > 0.99).all()


def test_signed_distances_count_by_their_size():
    tudf, ids = _wall_at_20()
    tudf[..., 20:] *= -1
    assert len(mesh_from_volume(tudf, ids, GRID).faces) > 0


@pytest.mark.parametrize('value', [12.0, 0.0])
def test_no_surface_gives_an_empty_mesh(value):
    tudf = np.full(GRID.dims, value, np.float32)
    mesh = mesh_from_volume(tudf, np.zeros(GRID.dims, np.int32), GRID)
    assert mesh.faces.shape == (0, 3) and mesh.vertices.shape == (0, 3)
    inside = np.zeros(GRID.dims, bool)
    mesh = mesh_from_volume(*_wall_at_20(), GRID, inside=inside)
    assert mesh.faces.shape == (0, 3)


def test_keeping_some_faces_keeps_their_vertices():
    mesh = mesh_from_volume(*_wall_at_20(), GRID)
    keep = mesh.vertices[mesh.faces[:, 0], 2] < GRID.origin_metres[2] + 2
    front = mesh.keep_faces(keep)
    assert len(front.faces) == keep.sum()
    np.testing.assert_array_equal(
        front.vertices[front.faces], mesh.vertices[mesh.faces[keep]]
    )
    assert len(front.vertices) < len(mesh.vertices)


def test_volumes_off_the_grid_are_refused():
    tudf, ids = _wall_at_20()
    with pytest.raises((ValueError, TypeError), match=r'on the grid|Type-check error'):
        mesh_from_volume(tudf[:8], ids, GRID)
    with pytest.raises(ValueError, match='iso must be positive'):
        mesh_from_volume(tudf, ids, GRID, iso=0.0)
