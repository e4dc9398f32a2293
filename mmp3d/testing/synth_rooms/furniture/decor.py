"""Plants, screens, boxes, poufs and vases: class other."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from mmp3d.testing.synth_rooms.furniture.base import (
    BLACK,
    LABEL,
    LACQUERS,
    Furniture,
    Palette,
    pick,
)
from mmp3d.testing.synth_rooms.shapes import ball, box, cone, cylinder
from mmp3d.testing.synth_rooms.textures import Material, Pattern


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
    return Furniture(LABEL['other'], tuple(parts), (2 * spread, 2 * spread, height))


def build_television(rng: Generator, style: Palette) -> Furniture:
    """A flat screen on a foot, for the top of a cabinet."""
    w = float(rng.uniform(0.85, 1.2))
    h = 0.56 * w
    glass = Material(Pattern.PLAIN, (0.012, 0.014, 0.018), gloss=0.8)
    parts = (
        box((-w / 2, w / 2), (-0.02, 0.02), (0.07, 0.07 + h), BLACK, 0.008),
        box((-w / 2 + 0.02, w / 2 - 0.02), (-0.024, -0.02), (0.09, 0.05 + h), glass),
        box((-0.05, 0.05), (-0.012, 0.012), (0.015, 0.08), BLACK),
        box((-0.22, 0.22), (-0.09, 0.09), (0, 0.015), BLACK, 0.005),
    )
    return Furniture(LABEL['other'], parts, (w, 0.18, 0.07 + h))


def build_monitor(rng: Generator, style: Palette) -> Furniture:
    """A computer screen with a bright picture, on a foot."""
    w = float(rng.uniform(0.5, 0.62))
    h = 0.6 * w
    picture = Material(Pattern.SKY, (0.10, 0.25, 0.5), (0.35, 0.5, 0.7), emission=0.7)
    parts = (
        box((-w / 2, w / 2), (-0.015, 0.015), (0.1, 0.1 + h), BLACK, 0.006),
        box(
            (-w / 2 + 0.012, w / 2 - 0.012),
            (-0.018, -0.015),
            (0.115, 0.088 + h),
            picture,
        ),
        cylinder(0, 0.0, (0.012, 0.12), 0.014, BLACK),
        cone(0, 0, (0, 0.012), (0.1, 0.095), BLACK),
    )
    return Furniture(LABEL['other'], parts, (w, 0.2, 0.1 + h))


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
    return Furniture(LABEL['other'], tuple(parts), (reach, reach, z))


def build_pouf(rng: Generator, style: Palette) -> Furniture:
    """A round padded stool."""
    r, h = float(rng.uniform(0.22, 0.3)), float(rng.uniform(0.36, 0.44))
    parts = (
        cone(0, 0, (0, h / 2), (0.88 * r, r), style.accent),
        cone(0, 0, (h / 2, h), (r, 0.88 * r), style.accent),
        cylinder(0, 0, (h, h + 0.02), 0.8 * r, style.fabric),
    )
    return Furniture(LABEL['other'], parts, (2 * r, 2 * r, h + 0.02))


def build_vase(rng: Generator, style: Palette) -> Furniture:
    """A vase with flowers, for the top of a table or a chest."""
    h, r = float(rng.uniform(0.2, 0.28)), float(rng.uniform(0.06, 0.08))
    clay = Material(Pattern.PLAIN, pick(rng, LACQUERS), gloss=0.4)
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
    return Furniture(LABEL['other'], tuple(parts), (2 * r + 0.1, 2 * r + 0.1, h + 0.24))
