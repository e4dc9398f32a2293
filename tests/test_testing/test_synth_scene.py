"""A scene of every primitive: distances and labels against brute force."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from mmp3d.structures import FrustumGrid
from mmp3d.testing.synth_rooms.scene import (
    SceneObject,
    cast_ray,
    distances_to,
    is_blocked,
    normal_at,
    pack_scene,
    signed_distances_to_object,
)
from mmp3d.testing.synth_rooms.shapes import ball, box, cone
from mmp3d.testing.synth_rooms.textures import Material, Pattern
from mmp3d.testing.synth_rooms.viewpoint import (
    Viewpoint,
    camera_pose,
    front3d_intrinsics,
)
from mmp3d.testing.synth_rooms.volumes import (
    LABEL_BAND,
    compute_volumes,
)

PAINT = Material(Pattern.PLAIN, (0.5, 0.5, 0.5))


@pytest.fixture(scope='module')
def scene():
    floor = box((-3, 3), (-3, 3), (0, 0), PAINT)
    table = (
        box((-0.5, 0.5), (-0.3, 0.3), (0.6, 0.7), PAINT, 0.03),
        cone(0.1, 0.0, (0, 0.6), (0.2, 0.08), PAINT, (0.1, 0.2, 0.0)),
    )
    lamp = (ball(0, 0, 0.2, 0.2, PAINT),)
    return pack_scene(
        [
            SceneObject(11, 0, (floor,), (0.0, 0.0, 0.0), 0.0),
            SceneObject(5, 1, table, (2.0, 0.3, 0.0), 0.4),
            SceneObject(8, 2, lamp, (2.0, -0.8, 0.0), 0.0),
        ]
    )


def test_distances_agree_with_points_on_the_surfaces(scene, surface_points):
    rng = np.random.default_rng(0)
    points = rng.uniform((1.2, -1.2, 0.0), (2.8, 1.0, 1.0), (400, 3))
    distance, part = distances_to(scene, points, 0.5)
    # The floor is huge: its points are only needed below the objects.
    samples = [surface_points(scene, p, 120_000, rng) for p in (1, 2, 3)]
    samples.append(rng.uniform((0.5, -2.0, 0.0), (3.5, 2.0, 0.0), (400_000, 3)))
    tree = cKDTree(np.concatenate(samples))
    brute = np.minimum(tree.query(points)[0], 0.5)
    # Samples are some 3 mm apart, so brute force can only be larger, by at most that.
    assert (brute - distance > -1e-9).all()
    assert (brute - distance).max() < 0.008
    assert set(part) >= {0, 1, 2, 3}


def test_volumes_agree_with_point_queries(scene):
    grid = FrustumGrid(dims=(32, 24, 40), voxel_size=0.07, depth_range=(0.4, 3.0))
    pose = camera_pose((0.0, 0.1, 1.1), 0.1, -0.35)
    view = Viewpoint(pose, front3d_intrinsics(), (240, 320))
    frustum = np.zeros(grid.dims, dtype=bool)
    frustum[3:30, 2:20, 5:38] = True
    volumes = compute_volumes(scene, view, grid, frustum)
    index = np.argwhere(frustum)
    points = np.array(grid.origin_metres) + index * grid.voxel_size
    world = points @ pose[:3, :3].T + pose[:3, 3]
    distance, part = distances_to(scene, world, grid.truncation * grid.voxel_size)
    inside = tuple(index.T)
    np.testing.assert_allclose(
        volumes.tudf[inside], distance / grid.voxel_size, atol=1e-5
    )
    near = volumes.tudf[inside] < LABEL_BAND
    assert near.sum() > 500
    owner = scene.owner[part]
    # Where two surfaces are equally near, either label is right.
    same = volumes.instance_ids[inside] == np.where(near, scene.instance_id[owner], 0)
    assert same.mean() > 0.9999
    np.testing.assert_array_equal(volumes.semantic > 0, volumes.tudf < LABEL_BAND)
    assert (volumes.tudf[~frustum] == 12).all()
    assert (volumes.weights[volumes.semantic == 0] == 1).all()
    assert (volumes.weights[volumes.semantic == 11] == 2).all()
    assert (volumes.weights[volumes.instance_ids > 0] == 4).all()


def test_an_empty_frustum_gives_free_space(scene):
    grid = FrustumGrid(dims=(8, 16, 8))
    view = Viewpoint(np.eye(4), front3d_intrinsics(), (240, 320))
    volumes = compute_volumes(scene, view, grid, np.zeros(grid.dims, dtype=bool))
    assert (volumes.tudf == 12).all()
    assert not volumes.semantic.any()


def test_a_ray_finds_the_first_part_and_its_normal(scene):
    t, part = cast_ray(scene, 2.0, -0.8, 2.0, 0.0, 0.0, -1.0, 50.0)
    assert (t, part) == (pytest.approx(1.6), 3)
    np.testing.assert_allclose(
        normal_at(scene, 3, 2.0, -0.8, 0.4), [0, 0, 1], atol=1e-6
    )
    t, part = cast_ray(scene, -1.0, -1.0, 2.0, 0.0, 0.0, -2.0, 50.0)
    assert (t, part) == (pytest.approx(1.0), 0)
    assert cast_ray(scene, -1.0, -1.0, 2.0, 0.0, 0.0, 1.0, 50.0) == (50.0, -1)


def test_shadows_ignore_the_lamp_they_come_from(scene):
    ray = (2.0, -0.8, 2.0, 0.0, 0.0, -1.7)
    assert is_blocked(scene, *ray, 1.0, -1)
    assert not is_blocked(scene, *ray, 1.0, 2)


def test_signed_distance_is_negative_inside_an_object(scene):
    distance = signed_distances_to_object(scene, 2, np.array([[2.0, -0.8, 0.2]]))
    np.testing.assert_allclose(distance, [-0.2])
