"""Meshes on disk."""

import numpy as np
import pytest
import trimesh

from mmp3d.fileio import write_glb
from mmp3d.structures import TriangleMesh

MESH = TriangleMesh(
    vertices=np.array([[0, 0, 1], [1, 0, 1], [0, 2, 1], [0, 0, 3]], np.float32),
    faces=np.array([[0, 2, 1], [0, 1, 3]], np.int32),
    normals=np.tile(np.array([0, 0, -1], np.float32), (4, 1)),
    ids=np.array([1, 1, 1, 2], np.int32),
)
COLORS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 8, 7]], np.uint8)


def test_a_mesh_comes_back_turned_for_viewers(tmp_path):
    write_glb(tmp_path / 'new' / 'mesh.glb', MESH, COLORS)
    loaded = trimesh.load(tmp_path / 'new' / 'mesh.glb', process=False)
    (geometry,) = loaded.geometry.values()
    np.testing.assert_allclose(geometry.vertices, MESH.vertices * [1, -1, -1])
    np.testing.assert_array_equal(geometry.faces, MESH.faces)
    np.testing.assert_array_equal(geometry.visual.vertex_colors[:, :3], COLORS)


def test_the_turn_keeps_right_handedness(tmp_path):
    write_glb(tmp_path / 'mesh.glb', MESH, COLORS)
    (geometry,) = trimesh.load(tmp_path / 'mesh.glb', process=False).geometry.values()
    # The first triangle looks at the camera at the origin, and still does.
    assert geometry.face_normals[0] @ geometry.triangles_center[0] < 0


def test_an_empty_mesh_is_a_valid_file(tmp_path):
    empty = MESH.keep_faces(np.zeros(2, bool))
    write_glb(tmp_path / 'mesh.glb', empty, np.zeros((0, 3), np.uint8))
    assert trimesh.load(tmp_path / 'mesh.glb').is_empty


def test_colours_must_match(tmp_path):
    with pytest.raises(ValueError, match=r'each of the 4 vertices, got shape \(3, 3\)'):
        write_glb(tmp_path / 'mesh.glb', MESH, COLORS[:3])
    assert not list(tmp_path.iterdir())
