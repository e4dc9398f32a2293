"""Tables and desks."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from mmp3d.testing.synth_rooms.furniture.base import LABEL, Furniture, Palette, legs
from mmp3d.testing.synth_rooms.furniture.storage import drawer_fronts
from mmp3d.testing.synth_rooms.shapes import box, cone, cylinder


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
        parts += legs(w - 0.18, d - 0.18, (0, h - 0.035), (0.022, 0.036), style.wood)
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
    return Furniture(LABEL['table'], tuple(parts), (w, d, h))


def build_round_table(rng: Generator, style: Palette) -> Furniture:
    """A round table on a column."""
    r, h = float(rng.uniform(0.45, 0.6)), float(rng.uniform(0.72, 0.76))
    parts = (
        cylinder(0, 0, (h - 0.035, h), r, style.wood),
        cone(0, 0, (0.03, h - 0.035), (0.055, 0.04), style.metal),
        cone(0, 0, (0, 0.03), (0.28, 0.24), style.metal),
    )
    return Furniture(LABEL['table'], parts, (2 * r, 2 * r, h))


def build_coffee_table(rng: Generator, style: Palette) -> Furniture:
    """A low table, rectangular with a shelf, or round with three legs."""
    h = float(rng.uniform(0.36, 0.46))
    if rng.random() < 0.35:
        r = float(rng.uniform(0.36, 0.48))
        feet = [
            cone(
                0.7 * r * np.cos(a),
                0.7 * r * np.sin(a),
                (0, h - 0.03),
                (0.014, 0.022),
                style.metal,
            )
            for a in np.arange(3) * 2 * np.pi / 3
        ]
        parts = (cylinder(0, 0, (h - 0.03, h), r, style.wood), *feet)
        return Furniture(LABEL['table'], parts, (2 * r, 2 * r, h))
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
        *legs(w - 0.1, d - 0.1, (0, h - 0.04), (0.024, 0.024), style.metal),
    ]
    return Furniture(LABEL['table'], tuple(parts), (w, d, h))


def build_desk(rng: Generator, style: Palette) -> Furniture:
    """A desk: a top, drawers under one end, a panel or legs under the other, a back."""
    w, d = float(rng.uniform(1.1, 1.6)), float(rng.uniform(0.58, 0.7))
    h = float(rng.uniform(0.72, 0.76))
    side = -1 if rng.random() < 0.5 else 1
    under, hx, hy = h - 0.035, w / 2, d / 2
    x0, x1 = sorted((side * (hx - 0.02), side * (hx - 0.42)))
    parts = [
        box((-hx, hx), (-hy, hy), (under, h), style.wood, 0.006),
        box((x0, x1), (-hy + 0.05, hy - 0.02), (0.06, under), style.wood),
        *drawer_fronts((x0, x1), (0.08, under - 0.01), -hy + 0.05, 3, 1, style),
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
    return Furniture(LABEL['desk'], tuple(parts), (w, d, h))
