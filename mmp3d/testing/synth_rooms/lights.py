"""The lights of a room: windows, lamps, and a soft light under the ceiling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.random import Generator

from mmp3d.testing.synth_rooms.layout import Room


class PackedLights(NamedTuple):
    """Area lights as arrays: a point ``position + a first + b second``, a, b in -1..1.

    ``facing`` is the direction a light shines into (zero: all around), ``colour`` its
    intensity at one metre, ``carrier`` the object that it shines through (-1: none).
    """

    position: np.ndarray
    first: np.ndarray
    second: np.ndarray
    facing: np.ndarray
    colour: np.ndarray
    carrier: np.ndarray


@dataclass(frozen=True)
class Lights:
    """What lights a room.

    Attributes:
        packed: The area lights.
        ambient: Light that has been reflected many times, linear RGB.
    """

    packed: PackedLights
    ambient: Float[np.ndarray, '3']


@dataclass(frozen=True)
class _Light:
    position: tuple[float, float, float]
    first: tuple[float, float, float]
    second: tuple[float, float, float]
    facing: tuple[float, float, float]
    colour: tuple[float, float, float]
    carrier: int


_DAY = np.array([0.92, 0.97, 1.08])
_WARM = np.array([1.10, 0.92, 0.68])


def draw_lights(rng: Generator, room: Room) -> Lights:
    """Draw the lights of a room: day or evening, and which lamps are on."""
    day = float(rng.uniform(0.35, 1.0))
    w, d, h = room.shell.size
    tint = _WARM if rng.random() < 0.5 else 0.5 * (_WARM + _DAY)
    power = float(rng.uniform(1.6, 2.6)) * (1.25 - 0.5 * day)
    top = _Light(
        (w / 2, d / 2, h - 0.06),
        (0.1 * w, 0.0, 0.0),
        (0.0, 0.1 * d, 0.0),
        (0.0, 0.0, -1.0),
        tuple(power * tint),
        -1,
    )
    lights = [top, *_window_lights(room, day), *_lamp_lights(rng, room)]
    bounce = 0.12 + 0.16 * day
    ambient = bounce * (0.55 * _DAY + 0.45 * tint)
    return Lights(_pack(lights), ambient)


def _window_lights(room: Room, day: float) -> list[_Light]:
    lights = []
    for wall in room.shell.walls:
        for opening in wall.openings:
            if opening.is_door:
                continue
            (x0, x1), (z0, z1) = opening.x, opening.z
            # Just inside the room, so that the frame casts no shadow.
            x, y = wall.to_world((x0 + x1) / 2, -0.1)
            right = wall.to_world((x0 + x1) / 2 + (x1 - x0) / 2, -0.1)
            inward = wall.to_world((x0 + x1) / 2, -1.1)
            area = (x1 - x0) * (z1 - z0)
            lights.append(
                _Light(
                    (x, y, (z0 + z1) / 2),
                    (right[0] - x, right[1] - y, 0.0),
                    (0.0, 0.0, (z1 - z0) / 2),
                    (inward[0] - x, inward[1] - y, 0.0),
                    tuple(2.6 * day * area * _DAY),
                    -1,
                )
            )
    return lights


def _lamp_lights(rng: Generator, room: Room) -> list[_Light]:
    lights = []
    for number, placed in enumerate(room.placements):
        point = placed.furniture.light
        if point is None or len(lights) == 2:
            continue
        x, y, z = np.array(placed.position) + np.array(point)
        lights.append(
            _Light(
                (x, y, z),
                (0.06, 0.0, 0.0),
                (0.0, 0.06, 0.0),
                (0.0, 0.0, 0.0),
                tuple(float(rng.uniform(0.25, 0.6)) * _WARM),
                len(room.shell.objects) + number,
            )
        )
    return lights


def _pack(lights: list[_Light]) -> PackedLights:
    return PackedLights(
        position=np.array([light.position for light in lights]),
        first=np.array([light.first for light in lights]),
        second=np.array([light.second for light in lights]),
        facing=np.array([light.facing for light in lights]),
        colour=np.array([light.colour for light in lights]),
        carrier=np.array([light.carrier for light in lights]),
    )
