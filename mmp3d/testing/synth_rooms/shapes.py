"""Primitives with exact distances: boxes, cones and balls, and rays that meet them.

Every primitive is described once, by its exact signed distance; pictures and volumes
both follow from it. Sharp boxes and balls are intersected in closed form, rounded boxes
and cones by stepping along the ray by that distance.

Source: distances of capped cone and rounded box after J. C. Hart, Sphere tracing, The
Visual Computer 12, 1996, and Euclidean geometry.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import no_type_check

import numpy as np
from numba import njit

from mmp3d.testing.synth_rooms.textures import Material

# A ray that steps along the distance has met the surface below this many metres.
_HIT = 2e-5


# Written by hand, so whole numbers are welcome.
Number = float | int
Interval = tuple[Number, Number]


class Kind(IntEnum):
    """Kinds of primitives."""

    BOX = 0
    CONE = 1
    BALL = 2


@dataclass(frozen=True)
class Part:
    """A primitive in the frame of its object.

    Object frame: origin on the ground under the middle of the object, x to its right as
    seen from behind, y towards its back, z up; metres.

    Attributes:
        kind: Which primitive.
        centre: Its middle.
        size: Half edges of a box; radius at the bottom, radius at the top and half
            height of a cone (axis z); radius of a ball, twice repeated.
        material: What it looks like.
        rounding: Radius of rounded edges, included in ``size``.
        turn: Rotation about the part's middle in radians: about x, then y, then z.
    """

    kind: Kind
    centre: tuple[float, float, float]
    size: tuple[float, float, float]
    material: Material
    rounding: float = 0.0
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def half_extent(self) -> np.ndarray:
        """Half edges of the primitive's own bounding box, metres."""
        if self.kind is Kind.CONE:
            radius = max(self.size[0], self.size[1])
            return np.array([radius, radius, self.size[2]])
        return np.array(self.size)


def box(
    x: Interval,
    y: Interval,
    z: Interval,
    material: Material,
    rounding: float = 0.0,
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Part:
    """Make a box from its bounds along each axis (before ``turn``)."""
    centre = ((x[0] + x[1]) / 2, (y[0] + y[1]) / 2, (z[0] + z[1]) / 2)
    half = ((x[1] - x[0]) / 2, (y[1] - y[0]) / 2, (z[1] - z[0]) / 2)
    if min(half) < 0:
        raise ValueError(f'box bounds must ascend, got x {x}, y {y}, z {z}')
    return Part(Kind.BOX, centre, half, material, min(rounding, *half), turn)


def cone(
    x: Number,
    y: Number,
    z: Interval,
    radii: Interval,
    material: Material,
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Part:
    """Make an upright truncated cone from its axis, bounds and two radii."""
    centre = (float(x), float(y), (z[0] + z[1]) / 2)
    size = (float(radii[0]), float(radii[1]), (z[1] - z[0]) / 2)
    return Part(Kind.CONE, centre, size, material, 0.0, turn)


def cylinder(
    x: Number, y: Number, z: Interval, radius: Number, material: Material
) -> Part:
    """Make an upright cylinder."""
    return cone(x, y, z, (radius, radius), material)


def ball(x: Number, y: Number, z: Number, radius: float, material: Material) -> Part:
    """Make a ball."""
    centre = (float(x), float(y), float(z))
    return Part(Kind.BALL, centre, (radius, radius, radius), material)


def rotation_matrix(turn: tuple[float, float, float]) -> np.ndarray:
    """Rotate about x, then y, then z by the given angles in radians."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(turn), np.sin(turn)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


@no_type_check
@njit(cache=True)
def _box_distance(x, y, z, a, b, c, rounding):
    qx, qy, qz = abs(x) - a + rounding, abs(y) - b + rounding, abs(z) - c + rounding
    inside = min(max(qx, max(qy, qz)), 0.0)
    qx, qy, qz = max(qx, 0.0), max(qy, 0.0), max(qz, 0.0)
    return np.sqrt(qx * qx + qy * qy + qz * qz) + inside - rounding


@no_type_check
@njit(cache=True)
def _cone_distance(x, y, z, low, high, half):
    """Signed distance to a cone with radius ``low`` at -half and ``high`` at +half."""
    radius = np.sqrt(x * x + y * y)
    limit = low if z < 0 else high
    cap_r = max(radius - limit, 0.0)
    cap_z = abs(z) - half
    # Nearest point of the slanted side, by projection on the line between the rims.
    side_r, side_z = high - low, 2 * half
    share = ((radius - low) * side_r + (z + half) * side_z) / (
        side_r * side_r + side_z * side_z
    )
    share = min(max(share, 0.0), 1.0)
    dr, dz = radius - low - side_r * share, z + half - side_z * share
    squared = min(cap_r * cap_r + cap_z * cap_z, dr * dr + dz * dz)
    inside = cap_z < 0 and dr < 0
    return -np.sqrt(squared) if inside else np.sqrt(squared)


@no_type_check
@njit(cache=True)
def signed_distance(kind, size, rounding, x, y, z):
    """Distance in metres from a point in the part's own frame; negative inside."""
    if kind == 0:
        return _box_distance(x, y, z, size[0], size[1], size[2], rounding)
    if kind == 1:
        return _cone_distance(x, y, z, size[0], size[1], size[2])
    return np.sqrt(x * x + y * y + z * z) - size[0]


@no_type_check
@njit(cache=True)
def _slab(o, d, h):
    """Ray parameters at which one coordinate is within -h..h."""
    if abs(d) < 1e-12:
        return (-1e30, 1e30) if abs(o) <= h else (1e30, -1e30)
    a, b = (-h - o) / d, (h - o) / d
    return (a, b) if a < b else (b, a)


@no_type_check
@njit(cache=True)
def ray_box(ox, oy, oz, dx, dy, dz, a, b, c):
    """Where a ray enters and leaves the box of half edges a, b, c; enter > leave if
    it never does."""
    near, far = _slab(ox, dx, a)
    t0, t1 = _slab(oy, dy, b)
    near, far = max(near, t0), min(far, t1)
    if near > far:
        return near, far
    t0, t1 = _slab(oz, dz, c)
    return max(near, t0), min(far, t1)


@no_type_check
@njit(cache=True)
def intersect(kind, size, rounding, ox, oy, oz, dx, dy, dz, t_min, t_max):
    """First meeting of a ray with a part, in the part's own frame.

    Returns:
        The ray parameter in t_min..t_max, or -1 where there is none.
    """
    if kind == 2:
        dd = dx * dx + dy * dy + dz * dz
        od = ox * dx + oy * dy + oz * dz
        root = od * od - dd * (ox * ox + oy * oy + oz * oz - size[0] * size[0])
        if root < 0:
            return -1.0
        root = np.sqrt(root)
        t = (-od - root) / dd
        if t < t_min:
            t = (-od + root) / dd
        return t if t_min <= t <= t_max else -1.0
    if kind == 0:
        near, far = ray_box(ox, oy, oz, dx, dy, dz, size[0], size[1], size[2])
    else:
        wide = max(size[0], size[1])
        near, far = ray_box(ox, oy, oz, dx, dy, dz, wide, wide, size[2])
    if near > far or far < t_min or near > t_max:
        return -1.0
    if kind == 0 and rounding == 0.0:
        t = near if near >= t_min else far
        return t if t_min <= t <= t_max else -1.0
    speed = np.sqrt(dx * dx + dy * dy + dz * dz)
    t, far = max(near, t_min), min(far, t_max)
    for _ in range(64):
        d = signed_distance(kind, size, rounding, ox + t * dx, oy + t * dy, oz + t * dz)
        if abs(d) < _HIT:
            return t
        t += abs(d) / speed
        if t > far:
            return -1.0
    return -1.0
