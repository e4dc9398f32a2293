"""Render a coloured mesh without a display: z-buffer, Lambert shading, soft corners.

The rasteriser is plain numba: no window system, no GPU, no driver.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import no_type_check

import cv2
import numba
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from mmp3d.structures import TriangleMesh

_FAR = np.float32(1e9)
_BACKGROUND = 255


@dataclass(frozen=True)
class Viewpoint:
    """A pinhole camera that looks at a scene.

    Attributes:
        cam2view: Points of the scene to points of the view (x right, y down, z
            forward), metres.
        focal: Focal length in pixels.
        centre: Pixel (u, v) of the optical axis.
        size: (height, width) of the picture.
    """

    cam2view: Float[np.ndarray, '4 4']
    focal: float
    centre: tuple[float, float]
    size: tuple[int, int]

    def project(
        self, points: Float[np.ndarray, 'N 3']
    ) -> tuple[Float[np.ndarray, 'N 2'], Float[np.ndarray, ' N']]:
        """Give pixels (u, v) and depths of points in metres."""
        seen = points @ self.cam2view[:3, :3].T + self.cam2view[:3, 3]
        depth = np.maximum(seen[:, 2], 1e-3)
        return self.focal * seen[:, :2] / depth[:, None] + self.centre, seen[:, 2]

    @property
    def eye(self) -> Float[np.ndarray, '3']:
        """Where the camera stands, in the frame of the scene."""
        return -self.cam2view[:3, :3].T @ self.cam2view[:3, 3]


def overview(
    points: Float[np.ndarray, 'N 3'],
    up: Float[np.ndarray, '3'],
    azimuth: float,
    elevation: float,
    size: tuple[int, int],
) -> Viewpoint:
    """Look at points from behind and above the camera, so that all of them fit.

    Args:
        points: What has to fit, in metres in the camera frame.
        up: Unit vector against gravity in the camera frame.
        azimuth: Angle in radians by which the eye moves round the scene, from behind
            the camera to its right.
        elevation: Angle in radians of the eye above the horizon.
        size: (height, width) of the picture.
    """
    forward = np.array([0.0, 0.0, 1.0]) - up[2] * up
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, up)
    low, high = np.percentile(points, (1, 99), axis=0)
    target = (low + high) / 2
    radius = max(float(np.linalg.norm(high - low)) / 2, 0.1)
    level = np.cos(azimuth) * -forward + np.sin(azimuth) * right
    eye = target + 3.6 * radius * (np.cos(elevation) * level + np.sin(elevation) * up)
    view = _look_at(eye, target, up)
    seen = points @ view[:3, :3].T + view[:3, 3]
    rays = seen[:, :2] / seen[:, 2:]
    first, last = rays.min(axis=0), rays.max(axis=0)
    height, width = size
    focal = 0.95 * min(np.array([width, height]) / np.maximum(last - first, 1e-3))
    centre = np.array([width, height]) / 2 - focal * (first + last) / 2
    return Viewpoint(view, float(focal), (float(centre[0]), float(centre[1])), size)


def render_mesh(
    mesh: TriangleMesh,
    colors: UInt8[np.ndarray, 'N 3'],
    viewpoint: Viewpoint,
    see_through: Bool[np.ndarray, ' N'] | None = None,
    supersampling: int = 2,
) -> UInt8[np.ndarray, 'H W 3']:
    """Draw a mesh on white.

    Args:
        mesh: Surface in the camera frame.
        colors: RGB of every vertex.
        viewpoint: From where.
        see_through: Vertices whose triangles vanish when seen from behind: with the
            walls and the ceiling marked, one looks into the room.
        supersampling: Rays per pixel along each axis.
    """
    height, width = viewpoint.size
    fine = Viewpoint(
        viewpoint.cam2view,
        viewpoint.focal * supersampling,
        tuple(c * supersampling for c in viewpoint.centre),
        (height * supersampling, width * supersampling),
    )
    pixels, depth = fine.project(mesh.vertices.astype(np.float64))
    if see_through is None:
        see_through = np.zeros(len(mesh.vertices), bool)
    shading = _shade(mesh, fine)
    depth_map, color_map = _rasterise(
        pixels.astype(np.float32),
        depth.astype(np.float32),
        mesh.faces,
        (colors * shading[:, None]).astype(np.float32),
        _faces_away(mesh, fine) & see_through,
        *fine.size,
    )
    picture = color_map * _corners(depth_map, fine)[..., None]
    picture[depth_map >= _FAR] = _BACKGROUND
    picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _look_at(
    eye: Float[np.ndarray, '3'],
    target: Float[np.ndarray, '3'],
    up: Float[np.ndarray, '3'],
) -> Float[np.ndarray, '4 4']:
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    view = np.eye(4)
    view[:3, :3] = right, np.cross(forward, right), forward
    view[:3, 3] = -view[:3, :3] @ eye
    return view


def _faces_away(mesh: TriangleMesh, viewpoint: Viewpoint) -> Bool[np.ndarray, ' N']:
    sight = mesh.vertices - viewpoint.eye
    return np.einsum('nc,nc->n', sight, mesh.normals) > 0


def _shade(mesh: TriangleMesh, viewpoint: Viewpoint) -> Float[np.ndarray, ' N']:
    """A lamp over the left shoulder, a weak one from the right, and ambient light."""
    to_scene = viewpoint.cam2view[:3, :3].T
    normals = mesh.normals
    # Sheets seen from behind are lit as if from the front.
    normals = normals * np.where(_faces_away(mesh, viewpoint), -1, 1)[:, None]
    light = np.full(len(normals), 0.56)
    for direction, strength in (((-0.55, -0.45, -0.7), 0.42), ((0.8, 0.1, -0.6), 0.2)):
        lamp = to_scene @ (np.array(direction) / np.linalg.norm(direction))
        light += strength * np.clip(normals @ lamp, 0, None)
    return light


def _corners(
    depth: Float[np.ndarray, 'H W'], viewpoint: Viewpoint
) -> Float[np.ndarray, 'H W']:
    """Darken what lies behind its surroundings, and draw the outlines.

    Source: Luft et al., Image Enhancement by Unsharp Masking the Depth Buffer, SIGGRAPH
    2006.
    """
    drawn = depth < _FAR
    if not drawn.any():
        return np.ones(depth.shape, np.float32)
    filled = np.where(drawn, depth, depth[drawn].max()).astype(np.float32)
    occlusion = np.zeros(depth.shape, np.float32)
    for metres, strength in ((0.12, 0.5), (0.4, 0.22)):
        sigma = metres * viewpoint.focal / float(np.median(depth[drawn]))
        blurred = _blur(filled, sigma)
        # Only near steps matter: a far background does not shade its foreground.
        behind = np.clip(filled - blurred, 0, 0.35)
        occlusion += strength * behind / 0.35
    step = cv2.Laplacian(filled, cv2.CV_32F, ksize=3)
    outline = np.clip((step - 0.25) / 0.5, 0, 1) * 0.35
    return 1 - np.clip(occlusion, 0, 0.45) - np.where(drawn, outline, 0)


def _blur(image: Float[np.ndarray, 'H W'], sigma: float) -> Float[np.ndarray, 'H W']:
    """A Gaussian; a wide one on a smaller picture, which looks the same."""
    scale = max(1, int(sigma / 4))
    height, width = image.shape
    small = cv2.resize(
        image,
        (max(width // scale, 1), max(height // scale, 1)),
        interpolation=cv2.INTER_AREA,
    )
    small = cv2.GaussianBlur(small, (0, 0), max(sigma / scale, 0.5))
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


@no_type_check  # the shape checks of tests cannot wrap compiled code
@numba.njit(cache=True)
def _rasterise(
    pixels: Float[np.ndarray, 'N 2'],
    depth: Float[np.ndarray, ' N'],
    faces: Int[np.ndarray, 'M 3'],
    colors: Float[np.ndarray, 'N 3'],
    hidden: Bool[np.ndarray, ' N'],
    height: int,
    width: int,
) -> tuple[Float[np.ndarray, 'H W'], Float[np.ndarray, 'H W 3']]:
    """Draw every triangle whose pixels are nearer than what was drawn before."""
    depth_map = np.full((height, width), _FAR, np.float32)
    color_map = np.zeros((height, width, 3), np.float32)
    for face in range(len(faces)):
        a, b, c = faces[face]
        if hidden[a] and hidden[b] and hidden[c]:
            continue
        if min(depth[a], depth[b], depth[c]) <= 0.01:
            continue
        ax, ay = pixels[a]
        bx, by = pixels[b]
        cx, cy = pixels[c]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0:
            continue
        first_column = max(int(np.ceil(min(ax, bx, cx))), 0)
        last_column = min(int(np.floor(max(ax, bx, cx))), width - 1)
        first_row = max(int(np.ceil(min(ay, by, cy))), 0)
        last_row = min(int(np.floor(max(ay, by, cy))), height - 1)
        for row in range(first_row, last_row + 1):
            for column in range(first_column, last_column + 1):
                v = ((column - ax) * (cy - ay) - (row - ay) * (cx - ax)) / area
                w = ((bx - ax) * (row - ay) - (by - ay) * (column - ax)) / area
                u = 1 - v - w
                # A hair of tolerance closes the seams between neighbours.
                if u < -1e-4 or v < -1e-4 or w < -1e-4:
                    continue
                z = 1 / (u / depth[a] + v / depth[b] + w / depth[c])
                if z >= depth_map[row, column]:
                    continue
                depth_map[row, column] = z
                for k in range(3):
                    color_map[row, column, k] = (
                        u * colors[a, k] + v * colors[b, k] + w * colors[c, k]
                    )
    return depth_map, color_map
