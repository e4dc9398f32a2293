"""Choose where the camera stands and what it looks at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Float
from numba import njit
from numpy.random import Generator

from mmp3d.testing.synth_rooms.layout import Room
from mmp3d.testing.synth_rooms.scene import PackedScene, cast_ray, nearest_surface

# 3D-Front's camera: fx, fy, cx, cy in pixels of a 240 x 320 image.
FRONT3D_INTRINSICS = (277.1281435, 277.1281435, 159.5, 119.5)
IMAGE_SIZE = (240, 320)

# Preview rays: one in so many pixels along each axis.
_STEP = 8
_CANDIDATES = 100
# Longer than any room, metres.
FAR = 50.0


@dataclass(frozen=True)
class Viewpoint:
    """A posed camera.

    Attributes:
        cam2world: 4x4 transform from the camera frame (x right, y down, z forward) to
            the room's frame, metres.
        K: Intrinsics in pixels, 3x3.
        image_size: (height, width).
    """

    cam2world: Float[np.ndarray, '4 4']
    K: Float[np.ndarray, '3 3']
    image_size: tuple[int, int]


def front3d_intrinsics() -> Float[np.ndarray, '3 3']:
    """The one camera matrix of 3D-Front, in pixels of a 240 x 320 image."""
    fx, fy, cx, cy = FRONT3D_INTRINSICS
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def camera_pose(
    position: tuple[float, float, float], yaw: float, pitch: float
) -> Float[np.ndarray, '4 4']:
    """Pose of a camera without roll.

    Args:
        position: World point of the camera, metres.
        yaw: Direction of view in the floor plan, radians from +x to +y.
        pitch: Radians upwards from the horizontal.
    """
    cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    pose = np.eye(4)
    pose[:3, 0] = (sy, -cy, 0.0)  # right
    pose[:3, 1] = (cy * sp, sy * sp, -cp)  # down
    pose[:3, 2] = (cy * cp, sy * cp, sp)  # forward
    pose[:3, 3] = position
    return pose


def choose_viewpoint(rng: Generator, room: Room, scene: PackedScene) -> Viewpoint:
    """Draw a camera inside the room that sees a good part of it.

    Many candidates are drawn at eye height, away from surfaces, looking across the
    room; small previews rate how much furniture each sees, at which distance, and how
    it is spread over the picture. The best one is taken.
    """
    K, size = front3d_intrinsics(), IMAGE_SIZE
    best, best_score = None, -np.inf
    for _ in range(_CANDIDATES):
        pose = _draw_pose(rng, room)
        if nearest_surface(scene, *pose[:3, 3], 1.0)[0] < 0.3:
            continue
        view = Viewpoint(pose, K, size)
        score = _rate(*_preview(scene, pose, K, *size, _STEP), _in_picture(room, view))
        if score > best_score:
            best, best_score = view, score
    if best is None:
        raise RuntimeError(
            f'no free place for a camera in a room of {room.shell.size} m with '
            f'{len(room.placements)} pieces of furniture'
        )
    return best


def _draw_pose(rng: Generator, room: Room) -> Float[np.ndarray, '4 4']:
    w, d, _ = room.shell.size
    # Near the walls one sees most of the room: both coordinates avoid the middle.
    x, y = (
        side * (0.35 + 0.22 * extent * rng.random())
        if (side := rng.choice((-1, 1))) > 0
        else extent - (0.35 + 0.22 * extent * rng.random())
        for extent in (w, d)
    )
    if rng.random() < 0.4:
        x = float(rng.uniform(0.35, w - 0.35))
    target = np.array([rng.uniform(0.25, 0.75) * w, rng.uniform(0.25, 0.75) * d])
    yaw = math.atan2(target[1] - y, target[0] - x)
    height = float(rng.uniform(0.75, 1.6))
    # The higher the camera, the more it looks down.
    pitch = float(rng.normal(-0.04 - 0.16 * (height - 0.75), 0.04))
    return camera_pose((float(x), float(y), height), yaw, pitch)


@no_type_check
@njit(cache=True)
def pixel_direction(pose, K, u, v):
    """World direction of a pixel's ray; its parameter is the z-depth."""
    x, y = (u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1]
    return (
        pose[0, 0] * x + pose[0, 1] * y + pose[0, 2],
        pose[1, 0] * x + pose[1, 1] * y + pose[1, 2],
        pose[2, 0] * x + pose[2, 1] * y + pose[2, 2],
    )


@no_type_check
@njit(cache=True)
def _preview(scene, pose, K, height, width, step):
    """Objects and depths of one pixel in ``step`` x ``step``."""
    rows, columns = height // step, width // step
    owner = np.empty((rows, columns), dtype=np.int64)
    depth = np.empty((rows, columns))
    for r in range(rows):
        for c in range(columns):
            u, v = (c + 0.5) * step, (r + 0.5) * step
            dx, dy, dz = pixel_direction(pose, K, u, v)
            t, part = cast_ray(
                scene,
                pose[0, 3],
                pose[1, 3],
                pose[2, 3],
                dx,
                dy,
                dz,
                FAR,
            )
            depth[r, c] = t
            owner[r, c] = 0 if part < 0 else scene.instance_id[scene.owner[part]]
    return owner, depth


def _in_picture(room: Room, view: Viewpoint) -> np.ndarray:
    """Whether the middle of each piece of furniture lies inside the picture."""
    middles = np.array([p.bounds().mean(axis=0) for p in room.placements])
    rotation, camera = view.cam2world[:3, :3], view.cam2world[:3, 3]
    points = (middles - camera) @ rotation
    z = np.maximum(points[:, 2:], 1e-6)
    u, v = ((points / z) @ view.K.T)[:, :2].T
    height, width = view.image_size
    return (points[:, 2] > 0.4) & (u > 0) & (u < width) & (v > 0) & (v < height)


def _rate(owner: np.ndarray, depth: np.ndarray, in_picture: np.ndarray) -> float:
    """How good a view is; the scale has no meaning beyond comparison.

    Args:
        owner: Instance id of each preview pixel, 0 for stuff.
        depth: Depth of each preview pixel in metres.
        in_picture: For each instance from 1, whether its middle is in the picture.
    """
    areas = np.bincount(owner.ravel(), minlength=len(in_picture) + 1)[1:] / owner.size
    furniture = float(areas.sum())
    visible = areas > 0.006
    whole = int((visible & in_picture).sum())
    largest = float(areas.max(initial=0.0))
    near = float((depth < 0.8).mean())
    far = float((depth > 5.9).mean())
    score = min(whole, 8) + 0.3 * int(visible.sum()) + 4.0 * min(furniture, 0.35)
    # Large pieces only half in the picture are hard to recognise.
    score -= 6.0 * float(areas[~in_picture].sum())
    score -= 12.0 * max(largest - 0.3, 0.0) + 15.0 * near + 15.0 * far
    score -= 8.0 * max(furniture - 0.6, 0.0)
    middle = owner.shape[1] // 2
    balance = min((owner[:, :middle] > 0).mean(), (owner[:, middle:] > 0).mean())
    return score + 4.0 * min(float(balance), 0.15)
