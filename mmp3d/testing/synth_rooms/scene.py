"""A room's contents as flat arrays, and the questions one can ask them.

``pack_scene`` turns placed objects into ``PackedScene``; the kernels below cast rays at
it and measure distances to it. World frame: x and y along the walls, z up, metres; the
floor is z = 0 and one corner of the room is the origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, no_type_check

import numpy as np
from numba import njit

from mmp3d.testing.synth_rooms.shapes import (
    Part,
    intersect,
    ray_box,
    rotation_matrix,
    signed_distance,
)


@dataclass(frozen=True)
class SceneObject:
    """One thing, or one piece of stuff, placed in the room.

    Attributes:
        label: Class, an index into ``FRONT3D.classes``.
        instance_id: From 1 for things; 0 for stuff.
        parts: Its primitives, in the object's frame.
        position: World point of the object's origin, metres.
        yaw: Rotation about the vertical, radians; 0: its back looks along +y.
    """

    label: int
    instance_id: int
    parts: tuple[Part, ...]
    position: tuple[float, float, float]
    yaw: float


class PackedScene(NamedTuple):
    """Parts (P), objects (G) and materials (M) as arrays for the kernels.

    A part's own frame is reached by ``axes @ (world - centre)``. ``lower`` and
    ``upper`` bound each object in the world. ``texture_origin`` is added to points of a
    part's frame before its pattern is evaluated; ``grain`` is the part's longest axis.
    """

    kind: np.ndarray
    centre: np.ndarray
    axes: np.ndarray
    size: np.ndarray
    rounding: np.ndarray
    owner: np.ndarray
    material: np.ndarray
    texture_origin: np.ndarray
    grain: np.ndarray
    first: np.ndarray
    last: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    label: np.ndarray
    instance_id: np.ndarray
    pattern: np.ndarray
    colour: np.ndarray
    second: np.ndarray
    scale: np.ndarray
    gloss: np.ndarray
    emission: np.ndarray


def pack_scene(objects: list[SceneObject]) -> PackedScene:
    """Flatten placed objects, in their order, for the kernels."""
    placed = [(number, o, part) for number, o in enumerate(objects) for part in o.parts]
    materials = list(dict.fromkeys(part.material for _, _, part in placed))
    turns = [rotation_matrix((0.0, 0.0, o.yaw)) for o in objects]
    rotations = np.array([turns[n] @ rotation_matrix(p.turn) for n, _, p in placed])
    centres = np.array(
        [turns[n] @ np.array(p.centre) + np.array(o.position) for n, o, p in placed]
    )
    extents = np.array([part.half_extent() for _, _, part in placed])
    # Every part reaches this far along the world's axes.
    reach = np.einsum('pij,pj->pi', np.abs(rotations), extents)
    counts = np.array([len(o.parts) for o in objects])
    last = np.cumsum(counts)
    first = last - counts
    return PackedScene(
        kind=np.array([int(p.kind) for _, _, p in placed]),
        centre=centres,
        axes=np.ascontiguousarray(rotations.transpose(0, 2, 1)),
        size=np.array([p.size for _, _, p in placed], dtype=np.float64),
        rounding=np.array([p.rounding for _, _, p in placed], dtype=np.float64),
        owner=np.array([n for n, _, _ in placed]),
        material=np.array([materials.index(p.material) for _, _, p in placed]),
        texture_origin=np.array([_texture_origin(n, o, p) for n, o, p in placed]),
        grain=extents.argmax(axis=1),
        first=first,
        last=last,
        lower=np.minimum.reduceat(centres - reach, first),
        upper=np.maximum.reduceat(centres + reach, first),
        label=np.array([o.label for o in objects]),
        instance_id=np.array([o.instance_id for o in objects]),
        pattern=np.array([int(m.pattern) for m in materials]),
        colour=np.array([m.colour for m in materials], dtype=np.float64),
        second=np.array([m.second for m in materials], dtype=np.float64),
        scale=np.array([m.scale for m in materials], dtype=np.float64),
        gloss=np.array([m.gloss for m in materials], dtype=np.float64),
        emission=np.array([m.emission for m in materials], dtype=np.float64),
    )


def _texture_origin(number: int, placed: SceneObject, part: Part) -> np.ndarray:
    # Walls and floors are cut into several parts and must show one pattern; the parts
    # of furniture must not all show the same piece of wood.
    if placed.instance_id == 0:
        return np.array(part.centre)
    order = placed.parts.index(part)
    return 0.37 * np.array([number + 1.3 * order, 2.1 * number + order, 0.7 * order])


@no_type_check
@njit(cache=True)
def to_part(scene, p, x, y, z):
    """A world vector (already relative to the centre, for points) in a part's frame."""
    a = scene.axes[p]
    return (
        a[0, 0] * x + a[0, 1] * y + a[0, 2] * z,
        a[1, 0] * x + a[1, 1] * y + a[1, 2] * z,
        a[2, 0] * x + a[2, 1] * y + a[2, 2] * z,
    )


@no_type_check
@njit(cache=True)
def _part_distance(scene, p, x, y, z):
    c = scene.centre[p]
    lx, ly, lz = to_part(scene, p, x - c[0], y - c[1], z - c[2])
    return signed_distance(scene.kind[p], scene.size[p], scene.rounding[p], lx, ly, lz)


@no_type_check
@njit(cache=True)
def _meets_bounds(scene, g, ox, oy, oz, dx, dy, dz, t_max):
    low, high = scene.lower[g], scene.upper[g]
    near, far = ray_box(
        ox - 0.5 * (low[0] + high[0]),
        oy - 0.5 * (low[1] + high[1]),
        oz - 0.5 * (low[2] + high[2]),
        dx,
        dy,
        dz,
        0.5 * (high[0] - low[0]) + 1e-6,
        0.5 * (high[1] - low[1]) + 1e-6,
        0.5 * (high[2] - low[2]) + 1e-6,
    )
    return near <= far and far >= 0.0 and near <= t_max


@no_type_check
@njit(cache=True)
def cast_ray(scene, ox, oy, oz, dx, dy, dz, t_max):
    """The first part that a ray meets.

    Returns:
        (t, part): Ray parameter and part; (t_max, -1) where the ray meets nothing.
    """
    best, hit = t_max, -1
    for g in range(scene.first.shape[0]):
        if not _meets_bounds(scene, g, ox, oy, oz, dx, dy, dz, best):
            continue
        for p in range(scene.first[g], scene.last[g]):
            t = _meet_part(scene, p, ox, oy, oz, dx, dy, dz, best)
            if 0.0 <= t < best:
                best, hit = t, p
    return best, hit


@no_type_check
@njit(cache=True)
def _meet_part(scene, p, ox, oy, oz, dx, dy, dz, t_max):
    c = scene.centre[p]
    lx, ly, lz = to_part(scene, p, ox - c[0], oy - c[1], oz - c[2])
    mx, my, mz = to_part(scene, p, dx, dy, dz)
    return intersect(
        scene.kind[p],
        scene.size[p],
        scene.rounding[p],
        lx,
        ly,
        lz,
        mx,
        my,
        mz,
        0.0,
        t_max,
    )


@no_type_check
@njit(cache=True)
def is_blocked(scene, ox, oy, oz, dx, dy, dz, t_max, ignored):
    """Whether anything but the object ``ignored`` lies on a piece of a ray."""
    for g in range(scene.first.shape[0]):
        if g == ignored or not _meets_bounds(scene, g, ox, oy, oz, dx, dy, dz, t_max):
            continue
        for p in range(scene.first[g], scene.last[g]):
            if _meet_part(scene, p, ox, oy, oz, dx, dy, dz, t_max) >= 0.0:
                return True
    return False


@no_type_check
@njit(cache=True)
def nearest_surface(scene, x, y, z, limit):
    """Unsigned distance in metres from a world point to the nearest surface.

    Returns:
        (distance, part); (limit, -1) where nothing is nearer than ``limit``.
    """
    best, nearest = limit, -1
    for g in range(scene.first.shape[0]):
        low, high = scene.lower[g], scene.upper[g]
        ex = max(max(low[0] - x, x - high[0]), 0.0)
        ey = max(max(low[1] - y, y - high[1]), 0.0)
        ez = max(max(low[2] - z, z - high[2]), 0.0)
        if ex * ex + ey * ey + ez * ez >= best * best:
            continue
        for p in range(scene.first[g], scene.last[g]):
            d = abs(_part_distance(scene, p, x, y, z))
            if d < best:
                best, nearest = d, p
    return best, nearest


@no_type_check
@njit(cache=True)
def distances_to(scene, points, limit):
    """Unsigned distances in metres of world points ``N 3``, and the nearest parts."""
    count = points.shape[0]
    distance = np.empty(count)
    part = np.empty(count, dtype=np.int64)
    for i in range(count):
        distance[i], part[i] = nearest_surface(
            scene, points[i, 0], points[i, 1], points[i, 2], limit
        )
    return distance, part


@no_type_check
@njit(cache=True)
def signed_distances_to_object(scene, g, points):
    """Signed distances in metres of world points ``N 3`` to one object."""
    distance = np.full(points.shape[0], np.inf)
    for i in range(points.shape[0]):
        for p in range(scene.first[g], scene.last[g]):
            d = _part_distance(scene, p, points[i, 0], points[i, 1], points[i, 2])
            distance[i] = min(distance[i], d)
    return distance


@no_type_check
@njit(cache=True)
def normal_at(scene, p, x, y, z):
    """Outward unit normal of a part at a world point of its surface."""
    c = scene.centre[p]
    lx, ly, lz = to_part(scene, p, x - c[0], y - c[1], z - c[2])
    if scene.kind[p] == 0 and scene.rounding[p] == 0.0:
        s = scene.size[p]
        # The face that the point lies on; flat boxes have one with no height.
        gx, gy, gz = abs(lx) - s[0], abs(ly) - s[1], abs(lz) - s[2]
        nx = ny = nz = 0.0
        if gx >= gy and gx >= gz:
            nx = 1.0 if lx >= 0 else -1.0
        elif gy >= gz:
            ny = 1.0 if ly >= 0 else -1.0
        else:
            nz = 1.0 if lz >= 0 else -1.0
    else:
        k, s, r = scene.kind[p], scene.size[p], scene.rounding[p]
        e = 1e-4
        nx = signed_distance(k, s, r, lx + e, ly, lz) - signed_distance(
            k, s, r, lx - e, ly, lz
        )
        ny = signed_distance(k, s, r, lx, ly + e, lz) - signed_distance(
            k, s, r, lx, ly - e, lz
        )
        nz = signed_distance(k, s, r, lx, ly, lz + e) - signed_distance(
            k, s, r, lx, ly, lz - e
        )
        length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12
        nx, ny, nz = nx / length, ny / length, nz / length
    a = scene.axes[p]
    return (
        a[0, 0] * nx + a[1, 0] * ny + a[2, 0] * nz,
        a[0, 1] * nx + a[1, 1] * ny + a[2, 1] * nz,
        a[0, 2] * nx + a[1, 2] * ny + a[2, 2] * nz,
    )
