"""Beds, chairs and sofas."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from mmp3d.testing.synth_rooms.furniture.base import (
    BLACK,
    LABEL,
    Furniture,
    Palette,
    legs,
    pick,
)
from mmp3d.testing.synth_rooms.shapes import ball, box, cylinder


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
        *legs(w - 0.16, d - 0.2, (0, 0.1), (0.025, 0.035), style.wood),
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
    return Furniture(LABEL['bed'], tuple(parts), (w + 0.04, d + 0.02, head))


def build_chair(rng: Generator, style: Palette) -> Furniture:
    """A dining chair: four legs, a seat, a back of slats or one panel."""
    w, d = float(rng.uniform(0.42, 0.48)), float(rng.uniform(0.44, 0.5))
    seat, height = float(rng.uniform(0.43, 0.47)), float(rng.uniform(0.84, 1.0))
    frame = style.metal if rng.random() < 0.3 else style.wood
    cover = style.fabric if rng.random() < 0.6 else style.wood
    hx, hy = w / 2, d / 2
    parts = legs(w - 0.06, d - 0.06, (0, seat - 0.02), (0.014, 0.021), frame)
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
    return Furniture(LABEL['chair'], tuple(parts), (w, d + 0.07, height))


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
        parts.append(ball(0.26 * c, 0.26 * s, 0.03, 0.03, BLACK))
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
                    BLACK,
                    0.012,
                ),
            ]
    return Furniture(LABEL['chair'], tuple(parts), (0.6, 0.6, height))


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
        *legs(w - 0.2, d - 0.16, (0, 0.1), (0.018, 0.028), style.wood),
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
    return Furniture(LABEL['sofa'], tuple(parts), (w, d, height))
