"""Dressers, cabinets and shelves."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.random import Generator

from mmp3d.testing.synth_rooms.furniture.base import (
    FABRICS,
    LABEL,
    WHITE,
    Furniture,
    Palette,
    darker,
    legs,
    pick,
)
from mmp3d.testing.synth_rooms.shapes import Interval, Part, ball, box, cone, cylinder
from mmp3d.testing.synth_rooms.textures import Material, Pattern


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
        *legs(w - 0.1, d - 0.12, (0, 0.1), (0.018, 0.028), style.wood),
        *drawer_fronts(
            (-hx + 0.01, hx - 0.01), (0.11, h - 0.035), -hy + 0.03, rows, columns, style
        ),
    ]
    return Furniture(LABEL['dresser'], tuple(parts), (w + 0.024, d + 0.04, h))


def drawer_fronts(
    x: Interval,
    z: Interval,
    y: float,
    rows: int,
    columns: int,
    style: Palette,
) -> list[Part]:
    """Drawer fronts with knobs that stand out of the plane ``y`` towards -y."""
    parts = []
    xs, zs = np.linspace(*x, columns + 1), np.linspace(*z, rows + 1)
    for x0, x1 in itertools.pairwise(xs):
        for z0, z1 in itertools.pairwise(zs):
            bounds = ((x0 + 0.01, x1 - 0.01), (y - 0.018, y), (z0 + 0.01, z1 - 0.01))
            parts.append(box(*bounds, style.front, 0.004))
            knobs = (-0.25, 0.25) if x1 - x0 > 0.55 else (0.0,)
            for share in knobs:
                middle = (x0 + x1) / 2 + share * (x1 - x0)
                parts.append(ball(middle, y - 0.03, (z0 + z1) / 2, 0.018, style.metal))
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
    return Furniture(LABEL['cabinet'], tuple(parts), (w + 0.03, d + 0.02, h))


def _door_fronts(
    x: Interval, z: Interval, y: float, count: int, style: Palette
) -> list[Part]:
    """Doors with a frame in relief and bar handles, standing out of the plane ``y``."""
    parts = []
    xs = np.linspace(*x, count + 1)
    for i, (x0, x1) in enumerate(itertools.pairwise(xs)):
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
    for z0, z1 in itertools.pairwise(zs):
        parts += _shelf_content(
            rng, (-hx + t, hx - t), (-hy + 0.05, hy - 0.02), z0 + t, z1
        )
    return Furniture(LABEL['other'], tuple(parts), (w, d, h))


def _shelf_content(
    rng: Generator,
    x: Interval,
    y: Interval,
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
            tint = pick(rng, FABRICS)
            parts.append(
                box(
                    (at, at + min(length, 0.26)),
                    y,
                    (low, low + 0.6 * rise),
                    Material(Pattern.FABRIC, tint, darker(tint, 0.8)),
                    0.01,
                )
            )
        else:
            r = min(0.06, length / 2)
            parts.append(
                cone(at + r, (y[0] + y[1]) / 2, (low, low + rise), (r, 0.5 * r), WHITE)
            )
        at += length + float(rng.uniform(0.0, 0.1))
    return parts
