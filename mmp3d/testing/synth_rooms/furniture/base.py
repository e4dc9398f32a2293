"""What all furniture shares: its frame, its materials, its legs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from numpy.random import Generator

from mmp3d.structures import FRONT3D
from mmp3d.testing.synth_rooms.shapes import Interval, Part, cone
from mmp3d.testing.synth_rooms.textures import Material, Pattern

Colour = tuple[float, float, float]


LABEL = {name: label for label, name in enumerate(FRONT3D.classes)}


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


LACQUERS: tuple[Colour, ...] = (
    (0.78, 0.76, 0.72),
    (0.62, 0.66, 0.62),
    (0.20, 0.28, 0.33),
    (0.55, 0.60, 0.66),
    (0.16, 0.17, 0.18),
)


FABRICS: tuple[Colour, ...] = (
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


BLACK = Material(Pattern.PLAIN, (0.02, 0.02, 0.022), gloss=0.5)


WHITE = Material(Pattern.PLAIN, (0.75, 0.74, 0.72), gloss=0.15)


def pick(rng: Generator, options: tuple) -> object:
    """Draw one of several options."""
    return options[int(rng.integers(len(options)))]


def darker(colour: Colour, factor: float) -> Colour:
    return tuple(min(factor * c, 1.0) for c in colour)


def draw_palette(rng: Generator) -> Palette:
    """Draw the style of a room's furniture."""
    first, second = pick(rng, _WOODS)
    wood = Material(Pattern.WOOD, first, second, scale=0.06, gloss=0.15)
    front = wood
    if rng.random() < 0.5:
        front = Material(Pattern.PLAIN, pick(rng, LACQUERS), gloss=0.2)
    fabric, accent, blanket = (FABRICS[i] for i in rng.permutation(len(FABRICS))[:3])
    light = (0.72, 0.70, 0.66)
    return Palette(
        wood=wood,
        front=front,
        fabric=Material(Pattern.FABRIC, fabric, darker(fabric, 0.78)),
        accent=Material(
            pick(rng, (Pattern.FABRIC, Pattern.STRIPES, Pattern.PLAID)),
            accent,
            pick(rng, (darker(accent, 1.8), light)),
            scale=0.09,
        ),
        linen=Material(Pattern.FABRIC, light, (0.62, 0.60, 0.57)),
        blanket=Material(
            pick(rng, (Pattern.FABRIC, Pattern.STRIPES, Pattern.PLAID, Pattern.DOTS)),
            blanket,
            pick(rng, (darker(blanket, 0.6), darker(blanket, 1.7), light)),
            scale=float(rng.uniform(0.10, 0.22)),
        ),
        metal=Material(Pattern.PLAIN, pick(rng, _METALS), gloss=0.6),
        shade=Material(
            Pattern.FABRIC, (0.95, 0.80, 0.58), (0.90, 0.74, 0.50), emission=0.75
        ),
    )


def legs(w: float, d: float, z: Interval, radii: Interval, m: Material) -> list[Part]:
    """Four legs under the corners of a w x d rectangle around the origin."""
    return [
        cone(sx * w / 2, sy * d / 2, z, radii, m) for sx in (-1, 1) for sy in (-1, 1)
    ]


Builder = Callable[[Generator, Palette], Furniture]
