"""The room itself: floor, ceiling, and walls with doors and windows.

All of it is made of rectangles without thickness and of thin panels in relief, so that
the distance to a wall is the distance to the surface one sees. Doors, windows, curtains
and skirting belong to the wall, rugs to the floor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from numpy.random import Generator

from mmp3d.structures import FRONT3D
from mmp3d.testing.synth_rooms.furniture import pick
from mmp3d.testing.synth_rooms.scene import SceneObject
from mmp3d.testing.synth_rooms.shapes import Part, ball, box
from mmp3d.testing.synth_rooms.textures import Material, Pattern

WALL = FRONT3D.classes.index('wall')
FLOOR = FRONT3D.classes.index('floor')
CEILING = FRONT3D.classes.index('ceiling')

# Depth of the niche that a window sits in, metres.
_REVEAL = 0.14


@dataclass(frozen=True)
class Opening:
    """A door or a window in a wall, in the wall's frame (metres).

    Attributes:
        is_door: Door or window.
        x: Left and right end along the wall, 0 in its middle.
        z: Lower and upper end.
    """

    is_door: bool
    x: tuple[float, float]
    z: tuple[float, float]


@dataclass(frozen=True)
class Wall:
    """One wall. Its frame: x along the wall, y outwards, z up.

    Attributes:
        length: Extent along x, metres.
        middle: World point (x, y) of the frame's origin, on the floor.
        yaw: Rotation of the frame about the vertical, radians.
        openings: Doors and windows.
    """

    length: float
    middle: tuple[float, float]
    yaw: float
    openings: tuple[Opening, ...]

    def to_world(self, x: float, y: float) -> tuple[float, float]:
        """World point (x, y) of a point of the wall's frame."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return self.middle[0] + c * x - s * y, self.middle[1] + s * x + c * y


@dataclass(frozen=True)
class Shell:
    """An empty room.

    Attributes:
        size: Extents along x, y and z in metres.
        walls: At y = max, x = max, y = 0 and x = 0.
        objects: Everything that is drawn: walls, floor (with rug), ceiling.
    """

    size: tuple[float, float, float]
    walls: tuple[Wall, ...]
    objects: tuple[SceneObject, ...]


_WALL_COLOURS = (
    (0.72, 0.69, 0.63),
    (0.62, 0.66, 0.68),
    (0.68, 0.58, 0.46),
    (0.52, 0.60, 0.50),
    (0.45, 0.53, 0.62),
    (0.66, 0.50, 0.45),
    (0.74, 0.73, 0.71),
    (0.60, 0.54, 0.40),
)
_WHITE = Material(Pattern.PLAIN, (0.78, 0.77, 0.74), gloss=0.1)
_CHROME = Material(Pattern.PLAIN, (0.4, 0.4, 0.4), gloss=0.7)
_SKY = Material(Pattern.SKY, (0.50, 0.68, 0.95), (0.95, 0.97, 1.0), emission=1.1)


def build_shell(rng: Generator) -> Shell:
    """Draw a room: size, doors, windows and the materials of its surfaces."""
    w, d = float(rng.uniform(3.0, 5.2)), float(rng.uniform(3.2, 6.2))
    if rng.random() < 0.5:
        w, d = d, w
    h = float(rng.uniform(2.4, 3.0))
    walls = _draw_walls(rng, w, d)
    paper, feature = _draw_wall_materials(rng)
    featured = int(rng.integers(4))
    door = (
        Material(Pattern.WOOD, *pick(rng, _DOOR_WOODS), scale=0.07, gloss=0.2)
        if rng.random() < 0.6
        else _WHITE
    )
    curtain_tint = pick(rng, _WALL_COLOURS)
    curtain = Material(
        Pattern.CURTAIN, curtain_tint, scale=float(rng.uniform(0.08, 0.13))
    )
    has_curtains = rng.random() < 0.6
    objects = []
    for number, wall in enumerate(walls):
        parts = _wall_parts(wall, h, feature if number == featured else paper, door)
        if has_curtains:
            parts += [p for o in wall.openings for p in _curtains(o, wall, h, curtain)]
        objects.append(
            SceneObject(WALL, 0, tuple(parts), (*wall.middle, 0.0), wall.yaw)
        )
    middle = (w / 2, d / 2)
    floor = [box((-w / 2, w / 2), (-d / 2, d / 2), (0, 0), _draw_floor(rng))]
    if rng.random() < 0.55:
        floor.append(_draw_rug(rng, w, d))
    top = box((-w / 2, w / 2), (-d / 2, d / 2), (0, 0), _WHITE)
    objects.append(SceneObject(FLOOR, 0, tuple(floor), (*middle, 0.0), 0.0))
    objects.append(SceneObject(CEILING, 0, (top,), (*middle, h), 0.0))
    return Shell((w, d, h), walls, tuple(objects))


_DOOR_WOODS = (
    ((0.40, 0.22, 0.10), (0.28, 0.14, 0.06)),
    ((0.58, 0.40, 0.24), (0.48, 0.31, 0.17)),
    ((0.20, 0.09, 0.05), (0.13, 0.06, 0.03)),
)


def _draw_wall_materials(rng: Generator) -> tuple[Material, Material]:
    """Draw the paint or paper of three walls, and that of the fourth."""
    base = pick(rng, _WALL_COLOURS)
    paper = Material(Pattern.PLAIN, base)
    kind = rng.random()
    lighter = tuple(min(1.18 * c, 0.85) for c in base)
    if kind < 0.25:
        scale = float(rng.uniform(0.1, 0.3))
        return (Material(Pattern.STRIPES, base, lighter, scale=scale),) * 2
    if kind < 0.4:
        scale = float(rng.uniform(0.14, 0.26))
        return (Material(Pattern.DOTS, base, lighter, scale=scale),) * 2
    if kind < 0.65:
        tint = tuple(0.75 * c for c in pick(rng, _WALL_COLOURS))
        return paper, Material(
            pick(rng, (Pattern.PLAIN, Pattern.STRIPES, Pattern.DOTS)),
            tint,
            tuple(1.25 * c for c in tint),
            scale=float(rng.uniform(0.12, 0.3)),
        )
    return paper, paper


def _draw_floor(rng: Generator) -> Material:
    kind = rng.random()
    if kind < 0.5:
        light, dark = pick(
            rng,
            (
                ((0.50, 0.31, 0.16), (0.40, 0.23, 0.11)),
                ((0.62, 0.46, 0.29), (0.53, 0.37, 0.21)),
                ((0.27, 0.15, 0.08), (0.20, 0.10, 0.05)),
                ((0.50, 0.43, 0.35), (0.42, 0.35, 0.28)),
            ),
        )
        return Material(
            Pattern.PLANKS, light, dark, float(rng.uniform(0.11, 0.19)), 0.25
        )
    if kind < 0.75:
        stone = pick(rng, ((0.62, 0.58, 0.52), (0.45, 0.45, 0.46), (0.66, 0.55, 0.44)))
        joint = tuple(0.6 * c for c in stone)
        return Material(Pattern.TILES, stone, joint, float(rng.uniform(0.3, 0.6)), 0.3)
    tint = pick(rng, ((0.42, 0.38, 0.33), (0.28, 0.31, 0.36), (0.46, 0.33, 0.25)))
    return Material(Pattern.CARPET, tint, tuple(0.75 * c for c in tint))


def _draw_rug(rng: Generator, w: float, d: float) -> Part:
    a = min(float(rng.uniform(0.35, 0.55)) * w, w - 1.0)
    b = min(float(rng.uniform(0.35, 0.55)) * d, d - 1.0)
    tint = pick(rng, ((0.40, 0.10, 0.09), (0.12, 0.18, 0.32), (0.60, 0.56, 0.50)))
    other = pick(rng, ((0.62, 0.54, 0.42), (0.45, 0.30, 0.16), (0.25, 0.26, 0.28)))
    pattern = pick(rng, (Pattern.PERSIAN, Pattern.STRIPES, Pattern.CARPET))
    weave = Material(
        pattern, tint, other, scale=max(a, b) / 2 if pattern == 14 else 0.25
    )
    return box((-a / 2, a / 2), (-b / 2, b / 2), (0, 0.006), weave)


def _draw_walls(rng: Generator, w: float, d: float) -> tuple[Wall, ...]:
    places = (
        (w, (w / 2, d), 0.0),
        (d, (w, d / 2), -math.pi / 2),
        (w, (w / 2, 0.0), math.pi),
        (d, (0.0, d / 2), math.pi / 2),
    )
    door = int(rng.integers(4))
    first = (door + int(rng.integers(1, 4))) % 4
    second = (door + int(rng.integers(1, 4))) % 4
    walls = []
    for number, (length, middle, yaw) in enumerate(places):
        openings = []
        if number == door:
            # Doors stand near a corner and leave the rest of the wall to furniture.
            side = -1 if rng.random() < 0.5 else 1
            x = side * (length / 2 - 0.65)
            openings.append(Opening(True, (x - 0.43, x + 0.43), (0.0, 2.03)))
        if number in (first, second):
            half = min(float(rng.uniform(0.5, 0.95)), length / 2 - 0.6)
            x = float(rng.uniform(-0.3, 0.3)) * (length - 2 * half - 0.8)
            sill = float(rng.uniform(0.85, 1.0))
            top = float(rng.uniform(2.05, 2.2))
            openings.append(Opening(False, (x - half, x + half), (sill, top)))
        walls.append(Wall(length, middle, yaw, tuple(openings)))
    return tuple(walls)


def _wall_parts(
    wall: Wall, height: float, paper: Material, door: Material
) -> list[Part]:
    """The wall with its openings; rectangles lie in y = 0, panels stand inwards."""
    half = wall.length / 2
    parts: list[Part] = []
    left = -half
    for opening in sorted(wall.openings, key=lambda o: o.x):
        if opening.is_door:
            parts += _door(opening, door)
            continue
        (x0, x1), (z0, z1) = opening.x, opening.z
        parts += [
            box((left, x0), (0, 0), (0, height), paper),
            box((x0, x1), (0, 0), (0, z0), paper),
            box((x0, x1), (0, 0), (z1, height), paper),
            *_window(opening),
        ]
        left = x1
    parts.append(box((left, half), (0, 0), (0, height), paper))
    return parts + _skirting(wall)


def _skirting(wall: Wall) -> list[Part]:
    half = wall.length / 2
    edges = [-half]
    for opening in wall.openings:
        if opening.is_door:
            edges += [opening.x[0] - 0.07, opening.x[1] + 0.07]
    edges.append(half)
    return [
        box((a, b), (-0.014, 0), (0, 0.08), _WHITE, 0.004)
        for a, b in zip(edges[::2], edges[1::2], strict=True)
        if b - a > 0.05
    ]


def _door(opening: Opening, leaf: Material) -> list[Part]:
    (x0, x1), (_, z1) = opening.x, opening.z
    mid, out = (x0 + x1) / 2, (-0.032, -0.02)
    parts = [
        box((x0, x1), (-0.02, 0), (0, z1), leaf),
        box((x0 - 0.07, x0), (-0.03, 0), (0, z1 + 0.07), _WHITE, 0.005),
        box((x1, x1 + 0.07), (-0.03, 0), (0, z1 + 0.07), _WHITE, 0.005),
        box((x0, x1), (-0.03, 0), (z1, z1 + 0.07), _WHITE, 0.005),
        ball(x1 - 0.08, -0.06, 1.02, 0.028, _CHROME),
        box((x1 - 0.105, x1 - 0.055), (-0.026, -0.02), (0.92, 1.12), _CHROME),
    ]
    for low, high in ((0.18, 0.88), (1.0, z1 - 0.14)):
        for a, b in ((x0 + 0.12, mid - 0.05), (mid + 0.05, x1 - 0.12)):
            parts.append(box((a, b), out, (low, high), leaf, 0.006))
    return parts


def _window(opening: Opening) -> list[Part]:
    (x0, x1), (z0, z1) = opening.x, opening.z
    y, frame = (_REVEAL - 0.05, _REVEAL), 0.05
    mid = (x0 + x1) / 2
    return [
        box((x0, x1), (_REVEAL, _REVEAL), (z0, z1), _SKY),
        box((x0, x0), (0, _REVEAL), (z0, z1), _WHITE),
        box((x1, x1), (0, _REVEAL), (z0, z1), _WHITE),
        box((x0, x1), (0, _REVEAL), (z1, z1), _WHITE),
        box((x0 - 0.04, x1 + 0.04), (-0.06, _REVEAL), (z0 - 0.03, z0), _WHITE, 0.006),
        box((x0, x0 + frame), y, (z0, z1), _WHITE),
        box((x1 - frame, x1), y, (z0, z1), _WHITE),
        box((x0 + frame, x1 - frame), y, (z0, z0 + frame), _WHITE),
        box((x0 + frame, x1 - frame), y, (z1 - frame, z1), _WHITE),
        box((mid - 0.03, mid + 0.03), y, (z0 + frame, z1 - frame), _WHITE),
    ]


def _curtains(
    opening: Opening, wall: Wall, height: float, cloth: Material
) -> list[Part]:
    """Two drawn-back curtains and their rod, close to the wall."""
    if opening.is_door:
        return []
    (x0, x1), (z0, z1) = opening.x, opening.z
    rod, low = min(z1 + 0.13, height - 0.05), z0 - 0.03
    width = 0.2 * (x1 - x0)
    limit = wall.length / 2 - 0.02
    parts = [
        box(
            (max(x0 - 0.2, -limit), min(x1 + 0.2, limit)),
            (-0.075, -0.055),
            (rod - 0.01, rod + 0.01),
            _CHROME,
            0.01,
        ),
    ]
    for a, b in ((x0 - 0.14, x0 - 0.14 + width), (x1 + 0.14 - width, x1 + 0.14)):
        a, b = max(a, -limit), min(b, limit)
        parts.append(box((a, b), (-0.09, -0.04), (low, rod), cloth, 0.02))
    return parts
