"""Furnished rooms: contact, no interpenetration, free doors, a camera in free space."""

import numpy as np
import pytest

from mmp3d.structures import FRONT3D
from mmp3d.testing.synth_rooms.layout import build_room
from mmp3d.testing.synth_rooms.scene import (
    nearest_surface,
    pack_scene,
    signed_distances_to_object,
)
from mmp3d.testing.synth_rooms.viewpoint import camera_pose, choose_viewpoint

SEEDS = range(12)


@pytest.fixture(scope='module')
def rooms():
    return [build_room(np.random.default_rng((7, seed))) for seed in SEEDS]


def test_rooms_have_the_promised_sizes_and_number_of_pieces(rooms):
    for room in rooms:
        w, d, h = room.shell.size
        assert min(w, d) >= 3 and max(w, d) <= 7 and 2.4 <= h <= 3.0
        standing = [p for p in room.placements if p.position[2] == 0]
        assert 3 <= len(standing) <= 12


def test_every_class_occurs_within_a_few_rooms(rooms):
    labels = {o.label for room in rooms for o in room.objects()}
    assert labels == set(range(1, FRONT3D.num_classes))


def test_things_rest_on_the_floor_on_furniture_or_hang(rooms):
    for room in rooms:
        scene, first = pack_scene(room.objects()), len(room.shell.objects)
        tops = [p.position[2] + p.furniture.size[2] for p in room.placements]
        for number in range(first, len(scene.label)):
            bottom, top = scene.lower[number, 2], scene.upper[number, 2]
            hangs = top == pytest.approx(room.shell.size[2], abs=1e-6)
            carried = any(abs(bottom - height) < 1e-6 for height in tops)
            assert hangs or carried or abs(bottom) < 1e-6


def test_nothing_reaches_into_anything_else(rooms, surface_points):
    rng = np.random.default_rng(1)
    for room in rooms:
        objects = room.objects()
        scene = pack_scene(objects)
        size = np.array(room.shell.size)
        for g in range(len(room.shell.objects), len(objects)):
            parts = range(scene.first[g], scene.last[g])
            points = np.concatenate([surface_points(scene, p, 40, rng) for p in parts])
            assert (points > -1e-6).all() and (points < size + 1e-6).all()
            for other in range(len(room.shell.objects), len(objects)):
                if other != g:
                    depth = signed_distances_to_object(scene, other, points).min()
                    assert depth > -1e-6, (objects[g].label, objects[other].label)


def test_furniture_stays_within_its_stated_bounds(rooms):
    for room in rooms:
        scene, first = pack_scene(room.objects()), len(room.shell.objects)
        for number, placed in enumerate(room.placements):
            lower, upper = placed.bounds()
            # Turned parts are bounded by boxes, which reach a little further.
            assert (scene.lower[first + number] > lower - 0.07).all()
            assert (scene.upper[first + number] < upper + 0.07).all()


def test_instances_are_numbered_from_one_and_stuff_is_zero(rooms):
    for room in rooms:
        objects = room.objects()
        stuff = [o for o in objects if not FRONT3D.is_thing(o.label)]
        things = [o for o in objects if FRONT3D.is_thing(o.label)]
        assert {o.instance_id for o in stuff} == {0}
        assert [o.instance_id for o in things] == list(range(1, len(things) + 1))


def test_the_camera_stands_free_at_eye_height_and_sees_furniture(rooms):
    for seed, room in enumerate(rooms[:4]):
        scene = pack_scene(room.objects())
        view = choose_viewpoint(np.random.default_rng(seed), room, scene)
        x, y, z = view.cam2world[:3, 3]
        w, d, _ = room.shell.size
        assert 0 < x < w and 0 < y < d and 0.75 <= z <= 1.6
        assert nearest_surface(scene, x, y, z, 1.0)[0] >= 0.3
        np.testing.assert_allclose(
            view.cam2world[:3, :3].T @ view.cam2world[:3, :3], np.eye(3), atol=1e-12
        )


def test_a_level_camera_looks_along_its_yaw_with_down_below():
    pose = camera_pose((1.0, 2.0, 3.0), np.pi / 2, 0.0)
    np.testing.assert_allclose(pose[:3, 2], [0, 1, 0], atol=1e-12)  # forward
    np.testing.assert_allclose(pose[:3, 0], [1, 0, 0], atol=1e-12)  # right
    np.testing.assert_allclose(pose[:3, 1], [0, 0, -1], atol=1e-12)  # down
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1.0)
