"""Points on the surfaces of primitives, for brute-force comparisons."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mmp3d.testing.synth_rooms.scene import PackedScene
from mmp3d.testing.synth_rooms.shapes import Kind


@pytest.fixture(scope='session')
def surface_points() -> Callable[..., np.ndarray]:
    """A function that draws points on one part of a scene."""
    return _surface_points


def _surface_points(
    scene: PackedScene, part: int, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Random world points on one part's surface: count x 3."""
    size = scene.size[part]
    if scene.kind[part] == Kind.BOX:
        local = _box_points(size, scene.rounding[part], count, rng)
    elif scene.kind[part] == Kind.CONE:
        local = _cone_points(*size, count, rng)
    else:
        local = rng.normal(size=(count, 3))
        local *= size[0] / np.linalg.norm(local, axis=1, keepdims=True)
    return local @ scene.axes[part] + scene.centre[part]


def _box_points(size, rounding, count, rng):
    points = rng.uniform(-1, 1, (count, 3))
    areas = np.array([size[1] * size[2], size[0] * size[2], size[0] * size[1]])
    axis = rng.choice(3, size=count, p=areas / areas.sum())
    rows = np.arange(count)
    points[rows, axis] = np.sign(points[rows, axis])
    points *= size
    # Shrink to the core, then go outwards by the rounding.
    core = np.clip(points, -(size - rounding), size - rounding)
    out = points - core
    length = np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)
    return core + rounding * out / length


def _cone_points(low, high, half, count, rng):
    share, angle = rng.random(count), rng.uniform(0, 2 * np.pi, count)
    radius = low + (high - low) * share
    z = (2 * share - 1) * half
    caps = rng.random(count) < 0.5
    top = rng.random(count) < 0.5
    rim = np.where(top, high, low)
    radius = np.where(caps, rim * np.sqrt(rng.random(count)), radius)
    z = np.where(caps, np.where(top, half, -half), z)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)
