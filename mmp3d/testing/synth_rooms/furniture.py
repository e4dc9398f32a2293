"""Furniture of every class, built from parts.

Each ``build_*`` draws sizes and style from ``rng`` and returns a ``Furniture`` in its
own frame: it stands on z = 0, its back looks along +y (towards a wall), and its
footprint is centred on the origin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from mmp3d.structures import FRONT3D
from mmp3d.testing.synth_rooms.shapes import Part, ball, box, cone, cylinder
from mmp3d.testing.synth_rooms.textures import Material, Pattern

_LABEL = {name: label for label, name in enumerate(FRONT3D.classes)}

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Furniture:
    """One piece of furniture in its own frame.

    Attributes:
        label: Class, an index into ``FRONT3D.classes``.
        parts: Its primitives.
        size: Width (x), depth (y) and height (z) of its bounding box in metres.
        light: Point of its lamp in its own frame, or ``None``.
    """

    label: int
    parts: tuple[Part, ...]
    size: tuple[float, float, float]
    light: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Palette:
    """Materials that the furniture of one room shares."""

    wood: Material
    front: Material
    fabric: Material
    accent: Material
    linen: Material
    blanket: Material
    metal: Material
    shade: Material


_WOODS: tuple[tuple[Colour, Colour], ...] = (
    ((0.45, 0.26, 0.12), (0.31, 0.16, 0.07)),  # oak
    ((0.22, 0.10, 0.05), (0.13, 0.06, 0.03)),  # walnut
    ((0.62, 0.44, 0.26), (0.52, 0.34, 0.18)),  # beech
    ((0.33, 0.14, 0.07), (0.22, 0.08, 0.04)),  # cherry
    ((0.70, 0.60, 0.46), (0.60, 0.49, 0.35)),  # ash
)
_LACQUERS: tuple[Colour, ...] = (
    (0.78, 0.76, 0.72),
    (0.62, 0.66, 0.62),
    (0.20, 0.28, 0.33),
    (0.55, 0.60, 0.66),
    (0.16, 0.17, 0.18),
)
_FABRICS: tuple[Colour, ...] = (
    (0.32, 0.33, 0.35),
    (0.10, 0.17, 0.30),
    (0.45, 0.36, 0.26),
    (0.12, 0.27, 0.22),
    (0.42, 0.13, 0.10),
    (0.50, 0.33, 0.09),
    (0.30, 0.16, 0.26),
    (0.60, 0.55, 0.48),
)
_METALS: tuple[Colour, ...] = (
    (0.05, 0.05, 0.055),
    (0.45, 0.45, 0.46),
    (0.5, 0.36, 0.14),
)


def pick(rng: Generator, options: tuple) -> object:
    """Draw one of several options."""
    return options[int(rng.integers(len(options)))]


def _darker(colour: Colour, factor: float) -> Colour:
    return tuple(min(factor * c, 1.0) for c in colour)


def draw_palette(rng: Generator) -> Palette:
    """Draw the style of a room's furniture."""
    first, second = pick(rng, _WOODS)
    wood = Material(Pattern.WOOD, first, second, scale=0.06, gloss=0.15)
    front = wood
    if rng.random() < 0.5:
        front = Material(Pattern.PLAIN, pick(rng, _LACQUERS), gloss=0.2)
    fabric, accent, blanket = (_FABRICS[i] for i in rng.permutation(len(_FABRICS))[:3])
    light = (0.72, 0.70, 0.66)
    return Palette(
        wood=wood,
        front=front,
        fabric=Material(Pattern.FABRIC, fabric, _darker(fabric, 0.78)),
        accent=Material(
            pick(rng, (Pattern.FABRIC, Pattern.STRIPES, Pattern.PLAID)),
            accent,
            pick(rng, (_darker(accent, 1.8), light)),
            scale=0.09,
        ),
        linen=Material(Pattern.FABRIC, light, (0.62, 0.60, 0.57)),
        blanket=Material(
            pick(rng, (Pattern.FABRIC, Pattern.STRIPES, Pattern.PLAID, Pattern.DOTS)),
            blanket,
            pick(rng, (_darker(blanket, 0.6), _darker(blanket, 1.7), light)),
            scale=float(rng.uniform(0.10, 0.22)),
        ),
        metal=Material(Pattern.PLAIN, pick(rng, _METALS), gloss=0.6),
        shade=Material(
            Pattern.FABRIC, (0.95, 0.80, 0.58), (0.90, 0.74, 0.50), emission=0.75
        ),
    )


_BLACK = Material(Pattern.PLAIN, (0.02, 0.02, 0.022), gloss=0.5)
_WHITE = Material(Pattern.PLAIN, (0.75, 0.74, 0.72), gloss=0.15)


def _legs(
    w: float, d: float, z: tuple[float, float], radii: tuple[float, float], m: Material
) -> list[Part]:
    """Four legs under the corners of a w x d rectangle around the origin."""
    return [
        cone(sx * w / 2, sy * d / 2, z, radii, m) for sx in (-1, 1) for sy in (-1, 1)
    ]


def build_bed(rng: Generator, style: Palette) -> Furniture:
    """A bed: frame, legs, headboard, mattress, blanket and pillows."""
    w = float(pick(rng, (0.95, 1.2, 1.4, 1.6, 1.8))) + float(rng.uniform(-0.04, 0.04))
    d, base = float(rng.uniform(2.0, 2.15)), float(rng.uniform(0.22, 0.32))
    head = float(rng.uniform(0.85, 1.2))
    y0, y1, top = -d / 2, d / 2 - 0.08, base + 0.2
    cushion = style.fabric if rng.random() < 0.5 else style.wood
    parts = [
        box((-w / 2, w / 2), (d / 2 - 0.08, d / 2), (0, head), cushion, 0.02),
        box((-w / 2, w / 2), (y0, y1), (0.1, base), style.wood, 0.01),
        *_legs(w - 0.16, d - 0.2, (0, 0.1), (0.025, 0.035), style.wood),
        box(
            (-w / 2 + 0.02, w / 2 - 0.02),
            (y0 + 0.03, y1),
            (base, top),
            style.linen,
            0.05,
        ),
    ]
    fold = y1 - float(rng.uniform(0.55, 0.75))
    hang = base - float(rng.uniform(-0.1, 0.08))
    parts += [
        box(
            (-w / 2 - 0.015, w / 2 + 0.015),
            (y0 - 0.01, fold),
            (hang, top + 0.035),
            style.blanket,
            0.03,
        ),
        box(
            (-w / 2 - 0.02, w / 2 + 0.02),
            (fold - 0.25, fold + 0.02),
            (hang + 0.01, top + 0.05),
            style.linen,
            0.03,
        ),
    ]
    count = 1 if w < 1.3 else 2
    span = w / count
    for i in range(count):
        x = -w / 2 + span * (i + 0.5)
        half = min(0.36, span / 2 - 0.05)
        parts.append(
            box(
                (x - half, x + half),
                (y1 - 0.47, y1 - 0.05),
                (top + 0.01, top + 0.15),
                style.linen,
                0.065,
                (0.3, 0.0, float(rng.uniform(-0.08, 0.08))),
            )
        )
        if rng.random() < 0.5:
            parts.append(
                box(
                    (x - 0.2, x + 0.2),
                    (y1 - 0.62, y1 - 0.5),
                    (top + 0.03, top + 0.37),
                    style.accent,
                    0.055,
                    (-0.45, 0.0, float(rng.uniform(-0.2, 0.2))),
                )
            )
    return Furniture(_LABEL['bed'], tuple(parts), (w + 0.04, d + 0.02, head))


def build_chair(rng: Generator, style: Palette) -> Furniture:
    """A dining chair: four legs, a seat, a back of slats or one panel."""
    w, d = float(rng.uniform(0.42, 0.48)), float(rng.uniform(0.44, 0.5))
    seat, height = float(rng.uniform(0.43, 0.47)), float(rng.uniform(0.84, 1.0))
    frame = style.metal if rng.random() < 0.3 else style.wood
    cover = style.fabric if rng.random() < 0.6 else style.wood
    hx, hy = w / 2, d / 2
    parts = _legs(w - 0.06, d - 0.06, (0, seat - 0.02), (0.014, 0.021), frame)
    parts.append(box((-hx, hx), (-hy, hy), (seat - 0.045, seat), cover, 0.02))
    lean = float(rng.uniform(-0.14, -0.06))
    # The back leans by ``lean`` about its middle and so keeps its foot on the seat.
    tilt = (lean, 0.0, 0.0)
    mid = hy - 0.05
    post = (seat - 0.02, height)
    for sx in (-1, 1):
        x = sx * (hx - 0.025)
        parts.append(
            box(
                (x - 0.016, x + 0.016),
                (mid - 0.014, mid + 0.014),
                post,
                frame,
                0.006,
                tilt,
            )
        )
    kind = int(rng.integers(3))
    rise = height - seat
    if kind == 0:
        panel = (seat + 0.22 * rise, height)
        parts.append(
            box((-hx, hx), (mid - 0.022, mid + 0.022), panel, cover, 0.02, tilt)
        )
    elif kind == 1:
        for share in (0.35, 0.62, 0.9):
            z = seat + share * rise
            y = mid - np.sin(lean) * (z - (seat + height) / 2)
            parts.append(
                box(
                    (-hx + 0.03, hx - 0.03),
                    (y - 0.01, y + 0.01),
                    (z - 0.04, z + 0.04),
                    frame,
                    0.005,
                    tilt,
                )
            )
    else:
        for x in np.linspace(-hx + 0.07, hx - 0.07, 5):
            parts.append(
                box(
                    (x - 0.011, x + 0.011),
                    (mid - 0.009, mid + 0.009),
                    post,
                    frame,
                    0.004,
                    tilt,
                )
            )
        y = mid - np.sin(lean) * rise / 2
        parts.append(
            box(
                (-hx, hx),
                (y - 0.016, y + 0.016),
                (height - 0.07, height),
                frame,
                0.012,
                tilt,
            )
        )
    return Furniture(_LABEL['chair'], tuple(parts), (w, d + 0.07, height))


def build_office_chair(rng: Generator, style: Palette) -> Furniture:
    """A swivel chair: five spokes on castors, a column, a padded seat and back."""
    seat, height = float(rng.uniform(0.44, 0.5)), float(rng.uniform(0.9, 1.1))
    hx = float(rng.uniform(0.22, 0.25))
    parts = [cylinder(0, 0, (0.08, seat - 0.06), 0.028, style.metal)]
    for angle in np.arange(5) * 2 * np.pi / 5 + 0.3:
        c, s = float(np.cos(angle)), float(np.sin(angle))
        parts.append(
            box(
                (0.14 * c - 0.14, 0.14 * c + 0.14),
                (0.14 * s - 0.018, 0.14 * s + 0.018),
                (0.07, 0.1),
                style.metal,
                0.01,
                (0.0, 0.0, float(angle)),
            )
        )
        parts.append(ball(0.26 * c, 0.26 * s, 0.03, 0.03, _BLACK))
    parts += [
        box((-hx, hx), (-0.24, 0.22), (seat - 0.07, seat + 0.02), style.fabric, 0.04),
        box((-0.03, 0.03), (0.22, 0.25), (seat - 0.05, seat + 0.3), style.metal, 0.01),
        box(
            (-hx + 0.02, hx - 0.02),
            (0.17, 0.23),
            (seat + 0.1, height),
            style.fabric,
            0.028,
        ),
    ]
    if rng.random() < 0.6:
        for sx in (-1, 1):
            x = sx * (hx + 0.025)
            parts += [
                box(
                    (x - 0.015, x + 0.015),
                    (-0.05, 0.0),
                    (seat - 0.03, seat + 0.2),
                    style.metal,
                    0.01,
                ),
                box(
                    (x - 0.03, x + 0.03),
                    (-0.15, 0.13),
                    (seat + 0.2, seat + 0.23),
                    _BLACK,
                    0.012,
                ),
            ]
    return Furniture(_LABEL['chair'], tuple(parts), (0.6, 0.6, height))


def build_sofa(rng: Generator, style: Palette) -> Furniture:
    """A sofa: base on feet, seat and back cushions, armrests, throw pillows."""
    seats = int(rng.integers(2, 4))
    arm = float(rng.uniform(0.12, 0.2))
    w = seats * float(rng.uniform(0.6, 0.72)) + 2 * arm
    d, seat = float(rng.uniform(0.82, 0.95)), float(rng.uniform(0.4, 0.46))
    back, arms = float(rng.uniform(0.76, 0.9)), float(rng.uniform(0.56, 0.66))
    hx, hy = w / 2, d / 2
    parts = [
        box(
            (-hx + 0.02, hx - 0.02),
            (-hy + 0.05, hy),
            (0.1, seat - 0.14),
            style.fabric,
            0.02,
        ),
        *_legs(w - 0.2, d - 0.16, (0, 0.1), (0.018, 0.028), style.wood),
        box(
            (-hx + arm / 2, hx - arm / 2),
            (hy - 0.2, hy),
            (0.12, back - 0.06),
            style.fabric,
            0.05,
        ),
    ]
    for sx in (-1, 1):
        x0, x1 = sorted((sx * hx, sx * (hx - arm)))
        parts.append(box((x0, x1), (-hy, hy), (0.1, arms), style.fabric, 0.05))
    span = (w - 2 * arm) / seats
    for i in range(seats):
        x0 = -hx + arm + i * span
        parts += [
            box(
                (x0 + 0.004, x0 + span - 0.004),
                (-hy, hy - 0.2),
                (seat - 0.15, seat),
                style.fabric,
                0.045,
            ),
            box(
                (x0 + 0.01, x0 + span - 0.01),
                (hy - 0.34, hy - 0.14),
                (seat, back),
                style.fabric,
                0.07,
                (-0.1, 0.0, 0.0),
            ),
        ]
    for sx in (-1, 1):
        if rng.random() < 0.65:
            x = sx * (hx - arm - 0.22)
            parts.append(
                box(
                    (x - 0.2, x + 0.2),
                    (hy - 0.46, hy - 0.34),
                    (seat + 0.01, seat + 0.39),
                    style.accent,
                    0.055,
                    (-0.35, 0.0, -sx * float(rng.uniform(0.1, 0.4))),
                )
            )
    height = max(back, seat + 0.42)
    return Furniture(_LABEL['sofa'], tuple(parts), (w, d, height))


def build_dining_table(rng: Generator, style: Palette) -> Furniture:
    """A rectangular table: a top, an apron, four legs."""
    w, d = float(rng.uniform(1.2, 1.8)), float(rng.uniform(0.8, 0.95))
    h = float(rng.uniform(0.72, 0.77))
    parts = [
        box((-w / 2, w / 2), (-d / 2, d / 2), (h - 0.035, h), style.wood, 0.008),
        box(
            (-w / 2 + 0.07, w / 2 - 0.07),
            (-d / 2 + 0.07, d / 2 - 0.07),
            (h - 0.11, h - 0.035),
            style.front,
        ),
    ]
    if rng.random() < 0.5:
        parts += _legs(w - 0.18, d - 0.18, (0, h - 0.035), (0.022, 0.036), style.wood)
    else:
        for sx in (-1, 1):
            for sy in (-1, 1):
                x, y = sx * (w / 2 - 0.07), sy * (d / 2 - 0.07)
                parts.append(
                    box(
                        (x - 0.035, x + 0.035),
                        (y - 0.035, y + 0.035),
                        (0, h - 0.035),
                        style.front,
                    )
                )
    return Furniture(_LABEL['table'], tuple(parts), (w, d, h))


def build_round_table(rng: Generator, style: Palette) -> Furniture:
    """A round table on a column."""
    r, h = float(rng.uniform(0.45, 0.6)), float(rng.uniform(0.72, 0.76))
    parts = (
        cylinder(0, 0, (h - 0.035, h), r, style.wood),
        cone(0, 0, (0.03, h - 0.035), (0.055, 0.04), style.metal),
        cone(0, 0, (0, 0.03), (0.28, 0.24), style.metal),
    )
    return Furniture(_LABEL['table'], parts, (2 * r, 2 * r, h))


def build_coffee_table(rng: Generator, style: Palette) -> Furniture:
    """A low table, rectangular with a shelf, or round with three legs."""
    h = float(rng.uniform(0.36, 0.46))
    if rng.random() < 0.35:
        r = float(rng.uniform(0.36, 0.48))
        legs = [
            cone(
                0.7 * r * np.cos(a),
                0.7 * r * np.sin(a),
                (0, h - 0.03),
                (0.014, 0.022),
                style.metal,
            )
            for a in np.arange(3) * 2 * np.pi / 3
        ]
        parts = (cylinder(0, 0, (h - 0.03, h), r, style.wood), *legs)
        return Furniture(_LABEL['table'], parts, (2 * r, 2 * r, h))
    w, d = float(rng.uniform(0.9, 1.25)), float(rng.uniform(0.5, 0.65))
    top = style.front if rng.random() < 0.3 else style.wood
    parts = [
        box((-w / 2, w / 2), (-d / 2, d / 2), (h - 0.04, h), top, 0.01),
        box(
            (-w / 2 + 0.06, w / 2 - 0.06),
            (-d / 2 + 0.06, d / 2 - 0.06),
            (0.12, 0.145),
            style.wood,
        ),
        *_legs(w - 0.1, d - 0.1, (0, h - 0.04), (0.024, 0.024), style.metal),
    ]
    return Furniture(_LABEL['table'], tuple(parts), (w, d, h))


def _drawer_fronts(
    x: tuple[float, float],
    z: tuple[float, float],
    y: float,
    rows: int,
    columns: int,
    style: Palette,
) -> list[Part]:
    """Drawer fronts with knobs that stand out of the plane ``y`` towards -y."""
    parts = []
    xs, zs = np.linspace(*x, columns + 1), np.linspace(*z, rows + 1)
    for x0, x1 in zip(xs[:-1], xs[1:], strict=True):
        for z0, z1 in zip(zs[:-1], zs[1:], strict=True):
            bounds = ((x0 + 0.01, x1 - 0.01), (y - 0.018, y), (z0 + 0.01, z1 - 0.01))
            parts.append(box(*bounds, style.front, 0.004))
            knobs = (-0.25, 0.25) if x1 - x0 > 0.55 else (0.0,)
            for share in knobs:
                middle = (x0 + x1) / 2 + share * (x1 - x0)
                parts.append(ball(middle, y - 0.03, (z0 + z1) / 2, 0.018, style.metal))
    return parts


def build_desk(rng: Generator, style: Palette) -> Furniture:
    """A desk: a top, drawers under one side, a leg panel under the other, a back panel."""
    w, d = float(rng.uniform(1.1, 1.6)), float(rng.uniform(0.58, 0.7))
    h = float(rng.uniform(0.72, 0.76))
    side = -1 if rng.random() < 0.5 else 1
    under, hx, hy = h - 0.035, w / 2, d / 2
    x0, x1 = sorted((side * (hx - 0.02), side * (hx - 0.42)))
    parts = [
        box((-hx, hx), (-hy, hy), (under, h), style.wood, 0.006),
        box((x0, x1), (-hy + 0.05, hy - 0.02), (0.06, under), style.wood),
        *_legs(0, 0, (0, 0), (0, 0), style.wood)[:0],
        *_drawer_fronts((x0, x1), (0.08, under - 0.01), -hy + 0.05, 3, 1, style),
        box((x0 + 0.02, x1 - 0.02), (-hy + 0.08, hy - 0.04), (0, 0.06), style.metal),
    ]
    if rng.random() < 0.5:
        p0, p1 = sorted((-side * hx, -side * (hx - 0.04)))
        parts.append(box((p0, p1), (-hy + 0.03, hy), (0, under), style.wood))
    else:
        for y in (-hy + 0.06, hy - 0.06):
            parts.append(
                cylinder(-side * (hx - 0.06), y, (0, under), 0.022, style.metal)
            )
    parts.append(
        box((-hx + 0.04, hx - 0.04), (hy - 0.04, hy - 0.02), (0.3, under), style.front)
    )
    return Furniture(_LABEL['desk'], tuple(parts), (w, d, h))


def build_dresser(rng: Generator, style: Palette) -> Furniture:
    """A chest of drawers on short feet."""
    columns, rows = int(rng.integers(1, 3)), int(rng.integers(3, 5))
    w = float(rng.uniform(0.7, 0.9)) if columns == 1 else float(rng.uniform(1.0, 1.4))
    d, h = float(rng.uniform(0.42, 0.5)), 0.1 + 0.2 * rows + float(rng.uniform(0, 0.1))
    return _chest(w, d, h, rows, columns, style)


def build_nightstand(rng: Generator, style: Palette) -> Furniture:
    """A small chest of one or two drawers for the side of a bed."""
    w, d = float(rng.uniform(0.4, 0.52)), float(rng.uniform(0.36, 0.44))
    h = float(rng.uniform(0.48, 0.6))
    return _chest(w, d, h, int(rng.integers(1, 3)), 1, style)


def _chest(
    w: float, d: float, h: float, rows: int, columns: int, style: Palette
) -> Furniture:
    hx, hy = w / 2, d / 2
    parts = [
        box((-hx, hx), (-hy + 0.03, hy), (0.1, h - 0.03), style.wood),
        box((-hx - 0.012, hx + 0.012), (-hy, hy), (h - 0.03, h), style.wood, 0.006),
        *_legs(w - 0.1, d - 0.12, (0, 0.1), (0.018, 0.028), style.wood),
        *_drawer_fronts(
            (-hx + 0.01, hx - 0.01), (0.11, h - 0.035), -hy + 0.03, rows, columns, style
        ),
    ]
    return Furniture(_LABEL['dresser'], tuple(parts), (w + 0.024, d + 0.04, h))


def _door_fronts(
    x: tuple[float, float], z: tuple[float, float], y: float, count: int, style: Palette
) -> list[Part]:
    """Doors with a frame in relief and bar handles, standing out of the plane ``y``."""
    parts = []
    xs = np.linspace(*x, count + 1)
    for i, (x0, x1) in enumerate(zip(xs[:-1], xs[1:], strict=True)):
        a, b, low, high = x0 + 0.006, x1 - 0.006, z[0] + 0.008, z[1] - 0.008
        parts.append(box((a, b), (y - 0.014, y), (low, high), style.front))
        rim, out = 0.07 if b - a > 0.3 else 0.05, (y - 0.026, y - 0.014)
        parts += [
            box((a, a + rim), out, (low, high), style.front),
            box((b - rim, b), out, (low, high), style.front),
            box((a + rim, b - rim), out, (low, low + rim), style.front),
            box((a + rim, b - rim), out, (high - rim, high), style.front),
        ]
        # Neighbouring doors open away from each other.
        handle = b - 0.035 if i % 2 == 0 else a + 0.035
        middle = (z[0] + z[1]) / 2
        reach = min(0.12, 0.3 * (z[1] - z[0]))
        parts.append(
            cylinder(
                handle, y - 0.042, (middle - reach, middle + reach), 0.011, style.metal
            )
        )
    return parts


def build_wardrobe(rng: Generator, style: Palette) -> Furniture:
    """A tall cabinet with two to four doors on a plinth."""
    count = int(rng.integers(2, 5))
    w, d = count * float(rng.uniform(0.42, 0.52)), float(rng.uniform(0.52, 0.6))
    return _cupboard(w, d, float(rng.uniform(1.85, 2.2)), count, style)


def build_sideboard(rng: Generator, style: Palette) -> Furniture:
    """A low cabinet with doors."""
    count = int(rng.integers(2, 5))
    w, d = count * float(rng.uniform(0.4, 0.5)), float(rng.uniform(0.38, 0.46))
    return _cupboard(w, d, float(rng.uniform(0.5, 0.85)), count, style)


def _cupboard(w: float, d: float, h: float, count: int, style: Palette) -> Furniture:
    hx, hy = w / 2, d / 2
    top = 0.05 if h > 1.5 else 0.03
    parts = [
        box((-hx + 0.02, hx - 0.02), (-hy + 0.09, hy), (0, 0.08), style.wood),
        box((-hx, hx), (-hy + 0.05, hy), (0.08, h - top), style.wood),
        box(
            (-hx - 0.015, hx + 0.015), (-hy + 0.02, hy), (h - top, h), style.wood, 0.006
        ),
        *_door_fronts(
            (-hx + 0.005, hx - 0.005), (0.09, h - top - 0.005), -hy + 0.05, count, style
        ),
    ]
    return Furniture(_LABEL['cabinet'], tuple(parts), (w + 0.03, d + 0.02, h))


def _lamp_shade(
    z: tuple[float, float], radii: tuple[float, float], style: Palette
) -> list[Part]:
    rim = style.shade
    return [cone(0, 0, z, radii, rim)]


def build_floor_lamp(rng: Generator, style: Palette) -> Furniture:
    """A standing lamp: foot, pole, shade."""
    h, r = float(rng.uniform(1.45, 1.75)), float(rng.uniform(0.18, 0.25))
    low = h - float(rng.uniform(0.26, 0.36))
    parts = (
        cone(0, 0, (0, 0.03), (0.15, 0.13), style.metal),
        cylinder(0, 0, (0.03, low), 0.014, style.metal),
        *_lamp_shade((low, h), (r, r * float(rng.uniform(0.55, 1.0))), style),
    )
    return Furniture(_LABEL['lamp'], parts, (2 * r, 2 * r, h), (0, 0, (low + h) / 2))


def build_table_lamp(rng: Generator, style: Palette) -> Furniture:
    """A lamp for a table: foot, body, shade."""
    h, r = float(rng.uniform(0.38, 0.52)), float(rng.uniform(0.12, 0.16))
    low = h - float(rng.uniform(0.16, 0.22))
    body = style.accent if rng.random() < 0.5 else style.metal
    foot = [cone(0, 0, (0, 0.025), (0.075, 0.06), style.metal)]
    if rng.random() < 0.5:
        foot += [
            ball(0, 0, 0.1, 0.075, body),
            cylinder(0, 0, (0.1, low), 0.012, style.metal),
        ]
    else:
        foot += [cone(0, 0, (0.025, low), (0.05, 0.015), body)]
    parts = (*foot, *_lamp_shade((low, h), (r, 0.65 * r), style))
    return Furniture(_LABEL['lamp'], parts, (2 * r, 2 * r, h), (0, 0, (low + h) / 2))


def build_pendant_lamp(rng: Generator, style: Palette) -> Furniture:
    """A hanging lamp; its top, where the cord meets the ceiling, is its full height."""
    h, r = float(rng.uniform(0.55, 0.75)), float(rng.uniform(0.18, 0.28))
    if rng.random() < 0.5:
        shade: Part = ball(0, 0, 0.75 * r, 0.75 * r, style.shade)
        high = 1.5 * r
    else:
        high = float(rng.uniform(0.18, 0.26))
        shade = cone(0, 0, (0, high), (r, 0.5 * r), style.shade)
    parts = (
        shade,
        cylinder(0, 0, (high - 0.01, h), 0.008, _BLACK),
        cone(0, 0, (h - 0.03, h), (0.03, 0.06), _BLACK),
    )
    return Furniture(_LABEL['lamp'], parts, (2 * r, 2 * r, h), (0, 0, 0.1))


def build_bookshelf(rng: Generator, style: Palette) -> Furniture:
    """Open shelves with books and boxes."""
    w, d = float(rng.uniform(0.7, 1.1)), float(rng.uniform(0.28, 0.36))
    levels = int(rng.integers(4, 6))
    h = 0.06 + 0.36 * levels + float(rng.uniform(0, 0.1))
    hx, hy, t = w / 2, d / 2, 0.022
    parts = [
        box((-hx, -hx + t), (-hy, hy), (0, h), style.wood),
        box((hx - t, hx), (-hy, hy), (0, h), style.wood),
        box((-hx + t, hx - t), (hy - 0.012, hy), (0.06, h), style.front),
        box((-hx + t, hx - t), (-hy + 0.02, -hy + 0.04), (0, 0.06), style.wood),
    ]
    zs = np.linspace(0.06, h - t, levels + 1)
    for z in zs:
        parts.append(box((-hx + t, hx - t), (-hy, hy - 0.012), (z, z + t), style.wood))
    for z0, z1 in zip(zs[:-1], zs[1:], strict=True):
        parts += _shelf_content(
            rng, (-hx + t, hx - t), (-hy + 0.05, hy - 0.02), z0 + t, z1
        )
    return Furniture(_LABEL['other'], tuple(parts), (w, d, h))


def _shelf_content(
    rng: Generator,
    x: tuple[float, float],
    y: tuple[float, float],
    low: float,
    high: float,
) -> list[Part]:
    parts: list[Part] = []
    at = x[0] + 0.02
    while at < x[1] - 0.12:
        length = min(float(rng.uniform(0.14, 0.4)), x[1] - 0.02 - at)
        rise = (high - low) * float(rng.uniform(0.55, 0.85))
        if rng.random() < 0.75:
            spine = Material(
                Pattern.BOOKS,
                (0.4, 0.4, 0.4),
                (0.7, 0.6, 0.4),
                scale=float(rng.uniform(0.026, 0.04)),
            )
            parts.append(box((at, at + length), y, (low, low + rise), spine))
        elif rng.random() < 0.5:
            tint = pick(rng, _FABRICS)
            parts.append(
                box(
                    (at, at + min(length, 0.26)),
                    y,
                    (low, low + 0.6 * rise),
                    Material(Pattern.FABRIC, tint, _darker(tint, 0.8)),
                    0.01,
                )
            )
        else:
            r = min(0.06, length / 2)
            parts.append(
                cone(at + r, (y[0] + y[1]) / 2, (low, low + rise), (r, 0.5 * r), _WHITE)
            )
        at += length + float(rng.uniform(0.0, 0.1))
    return parts


def build_plant(rng: Generator, style: Palette) -> Furniture:
    """A pot plant: a bush of leaf balls, or a rosette of long leaves."""
    pot = pick(rng, ((0.62, 0.60, 0.56), (0.42, 0.17, 0.09), (0.12, 0.13, 0.15)))
    earth = Material(Pattern.CARPET, (0.08, 0.05, 0.03), (0.03, 0.02, 0.015))
    leaf = Material(Pattern.FOLIAGE, (0.035, 0.13, 0.03), (0.10, 0.27, 0.06))
    r, rise = float(rng.uniform(0.13, 0.18)), float(rng.uniform(0.24, 0.36))
    parts = [
        cone(0, 0, (0, rise), (0.72 * r, r), Material(Pattern.PLAIN, pot, gloss=0.2)),
        cylinder(0, 0, (rise, rise + 0.004), 0.88 * r, earth),
    ]
    spread = float(rng.uniform(0.24, 0.32))
    if rng.random() < 0.5:
        top = rise + float(rng.uniform(0.5, 0.85))
        parts.append(cylinder(0, 0, (rise, top - 0.1), 0.016, earth))
        for _ in range(16):
            angle, out = rng.uniform(0, 2 * np.pi), spread * np.sqrt(rng.random())
            size = float(rng.uniform(0.07, 0.12))
            reach = max(out - size, 0.0)
            parts.append(
                ball(
                    reach * np.cos(angle),
                    reach * np.sin(angle),
                    top + float(rng.uniform(-0.26, 0.22)),
                    size,
                    leaf,
                )
            )
        height = top + 0.34
    else:
        length = float(rng.uniform(0.55, 0.85))
        for i in range(14):
            angle = 2.4 * i
            lean = float(rng.uniform(0.1, 0.5))
            reach = min(np.sin(lean) * length / 2, spread - 0.07)
            x, y = -np.sin(angle) * reach, np.cos(angle) * reach
            z = rise - 0.02 + np.cos(lean) * length / 2
            size = (0.035, 0.006, length / 2)
            # Leaning away from the stem: about x first, then around the vertical.
            parts.append(
                box(
                    (x - size[0], x + size[0]),
                    (y - size[1], y + size[1]),
                    (z - size[2], z + size[2]),
                    leaf,
                    0.005,
                    (-lean, 0.0, angle),
                )
            )
        spread = max(spread, np.sin(0.5) * length)
        height = rise + length
    return Furniture(_LABEL['other'], tuple(parts), (2 * spread, 2 * spread, height))


def build_television(rng: Generator, style: Palette) -> Furniture:
    """A flat screen on a foot, for the top of a cabinet."""
    w = float(rng.uniform(0.85, 1.2))
    h = 0.56 * w
    glass = Material(Pattern.PLAIN, (0.012, 0.014, 0.018), gloss=0.8)
    parts = (
        box((-w / 2, w / 2), (-0.02, 0.02), (0.07, 0.07 + h), _BLACK, 0.008),
        box((-w / 2 + 0.02, w / 2 - 0.02), (-0.024, -0.02), (0.09, 0.05 + h), glass),
        box((-0.05, 0.05), (-0.012, 0.012), (0.015, 0.08), _BLACK),
        box((-0.22, 0.22), (-0.09, 0.09), (0, 0.015), _BLACK, 0.005),
    )
    return Furniture(_LABEL['other'], parts, (w, 0.18, 0.07 + h))


def build_monitor(rng: Generator, style: Palette) -> Furniture:
    """A computer screen with a bright picture, on a foot."""
    w = float(rng.uniform(0.5, 0.62))
    h = 0.6 * w
    picture = Material(Pattern.SKY, (0.10, 0.25, 0.5), (0.35, 0.5, 0.7), emission=0.7)
    parts = (
        box((-w / 2, w / 2), (-0.015, 0.015), (0.1, 0.1 + h), _BLACK, 0.006),
        box(
            (-w / 2 + 0.012, w / 2 - 0.012),
            (-0.018, -0.015),
            (0.115, 0.088 + h),
            picture,
        ),
        cylinder(0, 0.0, (0.012, 0.12), 0.014, _BLACK),
        cone(0, 0, (0, 0.012), (0.1, 0.095), _BLACK),
    )
    return Furniture(_LABEL['other'], parts, (w, 0.2, 0.1 + h))


def build_boxes(rng: Generator, style: Palette) -> Furniture:
    """Two or three cardboard boxes on top of each other."""
    card = Material(Pattern.CARPET, (0.42, 0.28, 0.15), (0.36, 0.23, 0.12))
    tape = Material(Pattern.PLAIN, (0.55, 0.42, 0.25), gloss=0.3)
    parts, z = [], 0.0
    w, d = float(rng.uniform(0.42, 0.55)), float(rng.uniform(0.34, 0.44))
    reach = np.hypot(w, d)
    for _ in range(int(rng.integers(2, 4))):
        h, turn = (
            float(rng.uniform(0.22, 0.34)),
            (0.0, 0.0, float(rng.uniform(-0.2, 0.2))),
        )
        parts += [
            box((-w / 2, w / 2), (-d / 2, d / 2), (z, z + h), card, 0.0, turn),
            box(
                (-w / 2, w / 2), (-0.03, 0.03), (z + h, z + h + 0.002), tape, 0.0, turn
            ),
        ]
        z, w, d = z + h + 0.002, 0.88 * w, 0.9 * d
    return Furniture(_LABEL['other'], tuple(parts), (reach, reach, z))


def build_pouf(rng: Generator, style: Palette) -> Furniture:
    """A round padded stool."""
    r, h = float(rng.uniform(0.22, 0.3)), float(rng.uniform(0.36, 0.44))
    parts = (
        cone(0, 0, (0, h / 2), (0.88 * r, r), style.accent),
        cone(0, 0, (h / 2, h), (r, 0.88 * r), style.accent),
        cylinder(0, 0, (h, h + 0.02), 0.8 * r, style.fabric),
    )
    return Furniture(_LABEL['other'], parts, (2 * r, 2 * r, h + 0.02))


def build_vase(rng: Generator, style: Palette) -> Furniture:
    """A vase with flowers, for the top of a table or a chest."""
    h, r = float(rng.uniform(0.2, 0.28)), float(rng.uniform(0.06, 0.08))
    clay = Material(Pattern.PLAIN, pick(rng, _LACQUERS), gloss=0.4)
    stalk = Material(Pattern.FOLIAGE, (0.04, 0.12, 0.03), (0.09, 0.24, 0.05))
    bloom = Material(
        Pattern.PLAIN,
        pick(
            rng,
            ((0.65, 0.1, 0.12), (0.75, 0.5, 0.08), (0.7, 0.65, 0.62), (0.5, 0.16, 0.4)),
        ),
    )
    parts = [
        cone(0, 0, (0, 0.45 * h), (0.6 * r, r), clay),
        cone(0, 0, (0.45 * h, h), (r, 0.45 * r), clay),
    ]
    for i in range(6):
        angle, out = 1.05 * i, float(rng.uniform(0.03, 0.09))
        x, y = out * np.cos(angle), out * np.sin(angle)
        top = h + float(rng.uniform(0.08, 0.2))
        parts += [
            cylinder(0.6 * x, 0.6 * y, (0.8 * h, top), 0.005, stalk),
            ball(0.7 * x, 0.7 * y, top, float(rng.uniform(0.025, 0.04)), bloom),
        ]
    return Furniture(
        _LABEL['other'], tuple(parts), (2 * r + 0.1, 2 * r + 0.1, h + 0.24)
    )


Builder = Callable[[Generator, Palette], Furniture]
