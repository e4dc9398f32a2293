"""Materials and the procedural patterns that colour them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import no_type_check

import numpy as np
from numba import njit


class Pattern(IntEnum):
    """How a surface varies between its two colours."""

    PLAIN = 0
    WOOD = 1
    STRIPES = 2
    TILES = 3
    CARPET = 4
    PLANKS = 5
    FABRIC = 6
    FOLIAGE = 7
    PAINTING = 8
    SKY = 9
    DOTS = 10
    BOOKS = 11
    CURTAIN = 12
    PLAID = 13
    PERSIAN = 14


@dataclass(frozen=True)
class Material:
    """What a surface looks like.

    Attributes:
        pattern: How it varies between the colours.
        colour: Main colour, linear RGB in 0..1.
        second: The other colour of the pattern, linear RGB in 0..1.
        scale: Period of the pattern in metres.
        gloss: Strength of the highlights, 0..1.
        emission: Light that the surface sends out itself, as a multiple of its colour.
    """

    pattern: Pattern
    colour: tuple[float, float, float]
    second: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = 0.1
    gloss: float = 0.0
    emission: float = 0.0


@no_type_check
@njit(cache=True)
def _hash01(x, y, z):
    """A number in 0..1 that depends on three integers only."""
    h = (x * 374761393 + y * 668265263 + z * 1440662683) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 16)) * 2246822519) & 0xFFFFFFFF
    return ((h ^ (h >> 15)) & 0xFFFFFF) / 16777215.0


@no_type_check
@njit(cache=True)
def value_noise(x, y, z):
    """Smooth noise in 0..1 with a period of one."""
    fx, fy, fz = np.floor(x), np.floor(y), np.floor(z)
    i, j, k = int(fx), int(fy), int(fz)
    u, v, w = x - fx, y - fy, z - fz
    u, v, w = u * u * (3 - 2 * u), v * v * (3 - 2 * v), w * w * (3 - 2 * w)
    a = _hash01(i, j, k) * (1 - u) + _hash01(i + 1, j, k) * u
    b = _hash01(i, j + 1, k) * (1 - u) + _hash01(i + 1, j + 1, k) * u
    c = _hash01(i, j, k + 1) * (1 - u) + _hash01(i + 1, j, k + 1) * u
    d = _hash01(i, j + 1, k + 1) * (1 - u) + _hash01(i + 1, j + 1, k + 1) * u
    return (a * (1 - v) + b * v) * (1 - w) + (c * (1 - v) + d * v) * w


@no_type_check
@njit(cache=True)
def _fractal_noise(x, y, z):
    """Three octaves of noise in 0..1."""
    return (
        value_noise(x, y, z) * 4
        + value_noise(2.1 * x + 7, 2.1 * y, 2.1 * z) * 2
        + value_noise(4.3 * x, 4.3 * y + 5, 4.3 * z)
    ) / 7


@no_type_check
@njit(cache=True)
def _smoothstep(low, high, x):
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@no_type_check
@njit(cache=True)
def _wood(along, u, v, scale):
    """Mix of the two wood colours: fine fibres and broad rings."""
    broad = value_noise(along * 1.3, u * 9, v * 9)
    ring = 0.5 + 0.5 * np.sin((u + v) / scale * 6.28 + 9 * broad + along * 1.5)
    fibre = value_noise(along * 4, u * 70, v * 70)
    return 0.5 * ring + 0.35 * fibre + 0.15 * broad


@no_type_check
@njit(cache=True)
def pattern_mix(pattern, scale, x, y, z, u, v, along, across, third):
    """Evaluate a pattern.

    Args:
        pattern: Value of ``Pattern``.
        scale: Period in metres.
        x, y, z: Texture point in metres.
        u, v: The same point on the face, metres; v points up on vertical faces.
        along, across, third: The same point with the longest axis of the part first.

    Returns:
        (mix, gain, hue): share of the second colour, brightness factor, and a hue in
        0..1 for patterns of many colours (-1: none).
    """
    if pattern == 1:
        return _wood(along, across, third, scale), 1.0, -1.0
    if pattern == 2:
        cell = u / scale - np.floor(u / scale)
        edge = _smoothstep(0.22, 0.25, cell) - _smoothstep(0.72, 0.75, cell)
        return edge, 0.98 + 0.04 * value_noise(x * 40, y * 40, z * 40), -1.0
    if pattern == 3:
        iu, iv = np.floor(u / scale), np.floor(v / scale)
        du, dv = u / scale - iu - 0.5, v / scale - iv - 0.5
        joint = _smoothstep(0.475, 0.488, max(abs(du), abs(dv)))
        tone = _hash01(int(iu), int(iv), 5)
        cloud = _fractal_noise(u * 5 + 31 * tone, v * 5, 0.0)
        return joint, 0.9 + 0.1 * tone + 0.12 * (cloud - 0.5), -1.0
    if pattern == 4:
        fine = value_noise(x * 80, y * 80, z * 80)
        broad = _fractal_noise(x * 3, y * 3, z * 3)
        return 0.6 * fine + 0.4 * broad, 0.9 + 0.2 * fine, -1.0
    if pattern == 5:
        row = np.floor(v / scale)
        shift = _hash01(int(row), 3, 7) * 1.3
        column = np.floor((u + shift) / 1.3)
        du = abs((u + shift) / 1.3 - column - 0.5)
        dv = abs(v / scale - row - 0.5)
        gap = max(_smoothstep(0.47, 0.49, dv), _smoothstep(0.4965, 0.4985, du))
        tone = _hash01(int(row), int(column), 11)
        grain = _wood(u + 17 * tone, v + 3 * tone, 0.0, 0.05)
        return grain, (0.78 + 0.4 * tone) * (1 - 0.55 * gap), -1.0
    if pattern == 6:
        weave = value_noise(x * 70, y * 70, z * 70)
        return 0.4 * weave + 0.6 * _fractal_noise(x * 8, y * 8, z * 8), 1.0, -1.0
    if pattern == 7:
        leaf = _fractal_noise(x * 26, y * 26, z * 26)
        return _smoothstep(0.35, 0.65, leaf), 0.55 + 0.9 * leaf, -1.0
    if pattern == 8:
        blob = _fractal_noise(u / scale + 3, v / scale, 0.5)
        return _smoothstep(0.42, 0.55, blob), 0.8 + 0.4 * blob, blob * 2.5 % 1.0
    if pattern == 9:
        cloud = _fractal_noise(u * 2.2, v * 4.5, 1.5)
        return _smoothstep(0.45, 0.75, cloud), 1.0, -1.0
    if pattern == 10:
        row = np.floor(v / scale)
        pu = u / scale + 0.5 * (row % 2)
        du, dv = pu - np.floor(pu) - 0.5, v / scale - row - 0.5
        petal = 0.23 + 0.06 * np.cos(5 * np.arctan2(dv, du))
        return (
            1 - _smoothstep(petal - 0.04, petal, np.sqrt(du * du + dv * dv)),
            1.0,
            -1.0,
        )
    if pattern == 11:
        book = np.floor(u / scale)
        inside = u / scale - book
        tone = _hash01(int(book), 1, 1)
        edge = 1 - 0.5 * _smoothstep(0.36, 0.48, abs(inside - 0.5))
        band = 1.0 if abs(v % 0.3 - 0.19) < 0.012 else 0.0
        return 0.7 * band, edge, tone
    if pattern == 12:
        fold = 0.5 + 0.5 * np.sin(u / scale * 6.28 + 1.2 * value_noise(u * 6, v, 0.0))
        return 0.0, 0.5 + 0.55 * fold, -1.0
    if pattern == 13:
        a = 1.0 if u / scale - np.floor(u / scale) < 0.5 else 0.0
        b = 1.0 if v / scale - np.floor(v / scale) < 0.5 else 0.0
        return 0.5 * (a + b), 0.97 + 0.06 * value_noise(x * 90, y * 90, z * 90), -1.0
    if pattern == 14:
        du, dv = abs(u) / scale, abs(v) / scale
        ring = 0.5 + 0.5 * np.sin(14 * max(du, dv))
        petals = 0.5 + 0.5 * np.sin(20 * du) * np.sin(20 * dv)
        return _smoothstep(0.4, 0.6, 0.5 * ring + 0.5 * petals), 1.0, -1.0
    return 0.0, 0.97 + 0.06 * _fractal_noise(x * 5, y * 5, z * 5), -1.0


@no_type_check
@njit(cache=True)
def hue_colour(hue):
    """A muted colour of the given hue in 0..1, linear RGB."""
    r = 0.27 + 0.19 * np.cos(6.2832 * (hue - 0.02))
    g = 0.23 + 0.13 * np.cos(6.2832 * (hue - 0.30))
    b = 0.22 + 0.14 * np.cos(6.2832 * (hue - 0.62))
    return r, g, b
