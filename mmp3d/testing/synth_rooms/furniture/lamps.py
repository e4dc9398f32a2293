"""Lamps that stand on the floor or on furniture, or hang."""

from __future__ import annotations

from numpy.random import Generator

from mmp3d.testing.synth_rooms.furniture.base import BLACK, LABEL, Furniture, Palette
from mmp3d.testing.synth_rooms.shapes import Part, ball, cone, cylinder


def build_floor_lamp(rng: Generator, style: Palette) -> Furniture:
    """A standing lamp: foot, pole, shade."""
    h, r = float(rng.uniform(1.45, 1.75)), float(rng.uniform(0.18, 0.25))
    low = h - float(rng.uniform(0.26, 0.36))
    parts = (
        cone(0, 0, (0, 0.03), (0.15, 0.13), style.metal),
        cylinder(0, 0, (0.03, low), 0.014, style.metal),
        cone(0, 0, (low, h), (r, r * float(rng.uniform(0.55, 1.0))), style.shade),
    )
    return Furniture(LABEL['lamp'], parts, (2 * r, 2 * r, h), (0.0, 0.0, (low + h) / 2))


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
    parts = (*foot, cone(0, 0, (low, h), (r, 0.65 * r), style.shade))
    return Furniture(LABEL['lamp'], parts, (2 * r, 2 * r, h), (0.0, 0.0, (low + h) / 2))


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
        cylinder(0, 0, (high - 0.01, h), 0.008, BLACK),
        cone(0, 0, (h - 0.03, h), (0.03, 0.06), BLACK),
    )
    return Furniture(LABEL['lamp'], parts, (2 * r, 2 * r, h), (0.0, 0.0, 0.1))
