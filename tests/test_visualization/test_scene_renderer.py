"""The renderer that needs no display."""

import numpy as np

from mmp3d.structures import TriangleMesh
from mmp3d.visualization import Viewpoint, overview, render_mesh

RED, BLUE = (250, 10, 10), (10, 10, 250)
FRONT = Viewpoint(np.eye(4), focal=10.0, centre=(10.0, 8.0), size=(16, 20))
UP = np.array([0.0, -1.0, 0.0])


def _square(z, half, towards=-1.0, segment=1):
    """A square across the optical axis; ``towards`` -1: it looks at the camera."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    vertices = np.column_stack([corners, np.full(4, z)]).astype(np.float32)
    normals = np.tile(np.array([0, 0, towards], np.float32), (4, 1))
    faces = np.array([[0, 2, 1], [0, 3, 2]], np.int32)
    return TriangleMesh(vertices, faces, normals, np.full(4, segment, np.int32))


def _join(*meshes):
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]])
    return TriangleMesh(
        np.vstack([mesh.vertices for mesh in meshes]),
        np.vstack([m.faces + s for m, s in zip(meshes, starts, strict=True)]),
        np.vstack([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.ids for mesh in meshes]),
    )


def _colors(*rows):
    return np.repeat(np.array(rows, np.uint8), 4, axis=0)


def _is(pixel, color):
    return np.argmax(pixel) == np.argmax(color) and pixel.max() > 2 * pixel.min()


def test_a_square_covers_the_pixels_it_projects_to():
    picture = render_mesh(_square(z=10, half=5), _colors(RED), FRONT)
    drawn = (picture < 250).any(axis=-1)
    rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (3, 13, 5, 15)
    assert _is(picture[8, 10], RED) and (picture[0, 0] == 255).all()


def test_the_nearer_surface_hides_the_farther_in_any_order():
    near, far = _square(5, 1), _square(10, 5)
    for mesh, colors in (
        (_join(near, far), _colors(RED, BLUE)),
        (_join(far, near), _colors(BLUE, RED)),
    ):
        picture = render_mesh(mesh, colors, FRONT)
        assert _is(picture[8, 10], RED) and _is(picture[4, 7], BLUE)


def test_walls_seen_from_behind_vanish_when_marked():
    behind, wall = _square(10, 5), _square(5, 3, towards=1.0)
    mesh, colors = _join(behind, wall), _colors(RED, BLUE)
    marked = np.arange(8) >= 4
    assert _is(render_mesh(mesh, colors, FRONT)[8, 10], BLUE)
    assert _is(render_mesh(mesh, colors, FRONT, marked)[8, 10], RED)
    mesh = _join(behind, _square(5, 3, towards=-1.0))
    assert _is(render_mesh(mesh, colors, FRONT, marked)[8, 10], BLUE)


def test_surface_behind_the_eye_and_no_surface_leave_the_page_white():
    nothing = _square(5, 1).keep_faces(np.zeros(2, bool))
    assert (render_mesh(nothing, np.zeros((0, 3), np.uint8), FRONT) == 255).all()
    picture = render_mesh(_square(-5, 1), _colors(RED), FRONT)
    assert (picture == 255).all()


def test_an_overview_shows_all_points_from_behind_and_above():
    points = np.random.default_rng(0).uniform((-2, -1, 1), (2, 1, 5), (200, 3))
    for azimuth in (-0.5, 0.5):
        view = overview(points, UP, azimuth, 0.7, (90, 120))
        pixels, depth = view.project(points)
        assert (depth > 0).all()
        assert (pixels >= 0).all() and (pixels <= (120, 90)).all()
        eye = view.eye
        assert eye[2] < 1 and eye[1] < -1  # behind, and above (y is down)
        assert np.sign(eye[0]) == np.sign(azimuth)


def test_up_stays_up_in_the_picture_of_a_tilted_camera():
    tilt = np.radians(20)
    up = np.array([0.0, -np.cos(tilt), -np.sin(tilt)])
    points = np.random.default_rng(0).uniform((-2, -1, 1), (2, 1, 5), (200, 3))
    view = overview(points, up, 0.5, 0.7, (90, 120))
    middle = points.mean(0)
    pixels, _ = view.project(np.array([middle, middle + up]))
    assert abs(pixels[0, 0] - pixels[1, 0]) < 3 and pixels[1, 1] < pixels[0, 1] - 5
