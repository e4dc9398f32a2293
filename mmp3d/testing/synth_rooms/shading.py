"""Colour of every pixel: materials, area lights, soft shadows, ambient occlusion.

Each pixel is sampled two by two. A sample asks for one point of every second light; as
neighbours on one surface ask for others, averaging over them gives soft shadows without
noise. Light falls off with the square of the distance; glossy surfaces add a highlight.

Source: interleaved sampling, A. Keller and W. Heidrich, Eurographics Workshop on
Rendering, 2001; highlight: J. Blinn, SIGGRAPH 1977.
"""

from __future__ import annotations

from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Float
from numba import njit

from mmp3d.testing.synth_rooms.lights import Lights
from mmp3d.testing.synth_rooms.scene import (
    PackedScene,
    cast_ray,
    is_blocked,
    nearest_surface,
    normal_at,
    to_part,
)
from mmp3d.testing.synth_rooms.textures import hue_colour, pattern_mix
from mmp3d.testing.synth_rooms.viewpoint import FAR, Viewpoint, pixel_direction


class _Samples(NamedTuple):
    """Four rays of every pixel; all arrays begin with H W 4.

    ``albedo``, ``point`` (metres, just above the surface), ``normal`` and ``back``
    (unit vector to the camera) have 3 channels, ``gloss`` and ``glow`` none. ``seen``
    has one for each light: 1 if a point of it is in sight, 0 if not, -1 if nobody
    asked; two more hold the halves of the occlusion, in the same way.
    """

    albedo: np.ndarray
    point: np.ndarray
    normal: np.ndarray
    back: np.ndarray
    gloss: np.ndarray
    glow: np.ndarray
    seen: np.ndarray


def sample_radiance(
    scene: PackedScene, lights: Lights, view: Viewpoint
) -> Float[np.ndarray, 'H W 4 3']:
    """Linear radiance of four samples of every pixel."""
    height, width = view.image_size
    samples = _trace_samples(
        scene, lights.packed, view.cam2world, view.K, height, width
    )
    seen = _smooth(samples.seen, samples.point, samples.normal)
    return _shade(samples, seen, lights.packed, lights.ambient)


@no_type_check
@njit(cache=True)
def _albedo(scene, p, x, y, z, nx, ny, nz):
    """Linear RGB of a part's surface at a world point."""
    m = scene.material[p]
    c, o, s = scene.centre[p], scene.texture_origin[p], scene.size[p]
    lx, ly, lz = to_part(scene, p, x - c[0], y - c[1], z - c[2])
    ax, ay, az = to_part(scene, p, nx, ny, nz)
    lx, ly, lz = lx + o[0], ly + o[1], lz + o[2]
    ax, ay, az = abs(ax), abs(ay), abs(az)
    if scene.kind[p] == 1 and az < 0.9:
        u, v = np.arctan2(ly - o[1], lx - o[0]) * max(s[0], s[1]), lz
    elif az >= ax and az >= ay:
        u, v = lx, ly
    elif ay >= ax:
        u, v = lx, lz
    else:
        u, v = ly, lz
    if scene.grain[p] == 0:
        along, across, third = lx, ly, lz
    elif scene.grain[p] == 1:
        along, across, third = ly, lx, lz
    else:
        along, across, third = lz, lx, ly
    mix, gain, hue = pattern_mix(
        scene.pattern[m], scene.scale[m], lx, ly, lz, u, v, along, across, third
    )
    a, b = scene.colour[m], scene.second[m]
    r0, g0, b0 = a[0], a[1], a[2]
    if hue >= 0.0:
        r0, g0, b0 = hue_colour(hue)
    r = (r0 * (1 - mix) + b[0] * mix) * gain
    g = (g0 * (1 - mix) + b[1] * mix) * gain
    bl = (b0 * (1 - mix) + b[2] * mix) * gain
    return r, g, bl


@no_type_check
@njit(cache=True)
def _closeness(scene, point, normal, turn):
    """One half of the ambient occlusion: how close other surfaces are.

    Probes at four heights above the surface measure it, two of them in each turn.
    """
    closed = 0.0
    heights = (0.03, 0.2) if turn == 0 else (0.09, 0.4)
    weights = (1.0, 0.52) if turn == 0 else (0.72, 0.37)
    for k in range(2):
        reach = heights[k]
        distance, _ = nearest_surface(
            scene,
            point[0] + reach * normal[0],
            point[1] + reach * normal[1],
            point[2] + reach * normal[2],
            reach,
        )
        closed += weights[k] * (reach - distance) / reach
    return closed


@no_type_check
@njit(cache=True)
def _light_point(r, c, sample, i):
    """Where on area light ``i`` (-1..1 twice) a colour sample of a pixel looks.

    The four samples of a pixel share the light's area between them; within their
    quarter, the pixels of a 4 x 4 tile take 16 different points.
    """
    tile = (4 * (r % 4) + c % 4) * 7 + 5 * i
    a = ((tile % 16) // 4 + 0.5) / 4
    b = (tile % 4 + 0.5) / 4
    return a + sample % 2 - 1, b + sample // 2 - 1


@no_type_check
@njit(cache=True)
def _sees_light(scene, lights, i, point, normal, a, b):
    """Whether a point sees a point of light ``i``: 1, 0, or -1 if it looks away."""
    to = lights.position[i] + a * lights.first[i] + b * lights.second[i] - point
    if to[0] * normal[0] + to[1] * normal[1] + to[2] * normal[2] <= 0.0:
        return -1.0
    blocked = is_blocked(
        scene,
        point[0],
        point[1],
        point[2],
        to[0],
        to[1],
        to[2],
        0.999,
        lights.carrier[i],
    )
    return 0.0 if blocked else 1.0


@no_type_check
@njit(cache=True)
def _trace_samples(scene, lights, pose, K, height, width):
    """Follow four rays per pixel and look for the lights from where they end.

    Neighbouring samples take turns: each asks for every second light, and measures one
    half of the occlusion.
    """
    count = lights.position.shape[0]
    albedo = np.zeros((height, width, 4, 3))
    point = np.zeros((height, width, 4, 3))
    normal = np.zeros((height, width, 4, 3))
    back = np.zeros((height, width, 4, 3))
    gloss = np.zeros((height, width, 4))
    glow = np.zeros((height, width, 4))
    seen = np.full((height, width, 4, count + 2), -1.0)
    ox, oy, oz = pose[0, 3], pose[1, 3], pose[2, 3]
    for r in range(height):
        for c in range(width):
            for s in range(4):
                u, v = c + 0.5 * (s % 2) - 0.25, r + 0.5 * (s // 2) - 0.25
                dx, dy, dz = pixel_direction(pose, K, u, v)
                t, p = cast_ray(scene, ox, oy, oz, dx, dy, dz, FAR)
                if p < 0:
                    continue
                x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
                nx, ny, nz = normal_at(scene, p, x, y, z)
                if nx * dx + ny * dy + nz * dz > 0:
                    nx, ny, nz = -nx, -ny, -nz
                albedo[r, c, s] = _albedo(scene, p, x, y, z, nx, ny, nz)
                length = np.sqrt(dx * dx + dy * dy + dz * dz)
                back[r, c, s] = (-dx / length, -dy / length, -dz / length)
                normal[r, c, s] = (nx, ny, nz)
                # Off the surface, so that rays do not meet it again.
                point[r, c, s] = (x + 2e-3 * nx, y + 2e-3 * ny, z + 2e-3 * nz)
                gloss[r, c, s] = scene.gloss[scene.material[p]]
                glow[r, c, s] = scene.emission[scene.material[p]]
                here, up = point[r, c, s], normal[r, c, s]
                turn = (r + c + (s + 1) // 2) % 2
                for i in range(turn, count, 2):
                    a, b = _light_point(r, c, s, i)
                    seen[r, c, s, i] = _sees_light(scene, lights, i, here, up, a, b)
                seen[r, c, s, count + turn] = _closeness(scene, here, up, turn)
    return _Samples(albedo, point, normal, back, gloss, glow, seen)


@no_type_check
@njit(cache=True)
def _smooth(seen, point, normal):
    """Average each channel over the neighbours on the same surface that were asked.

    One sample knows one point of every second light; its neighbours know the others.
    """
    height, width, _, channels = seen.shape
    smooth = np.ones_like(seen)
    total, asked = np.empty(channels), np.empty(channels)
    for r in range(height):
        for c in range(width):
            for s in range(4):
                total[:], asked[:] = 0.0, 0.0
                x, n = point[r, c, s], normal[r, c, s]
                for i in range(max(r - 2, 0), min(r + 3, height)):
                    for j in range(max(c - 2, 0), min(c + 3, width)):
                        # A tile has 4 x 4 pixels: the outer ones count half.
                        weight = 0.5 if abs(i - r) == 2 else 1.0
                        weight *= 0.5 if abs(j - c) == 2 else 1.0
                        for q in range(4):
                            if not _same_surface(x, n, point[i, j, q], normal[i, j, q]):
                                continue
                            for k in range(channels):
                                if seen[i, j, q, k] >= 0.0:
                                    total[k] += weight * seen[i, j, q, k]
                                    asked[k] += weight
                for k in range(channels):
                    if asked[k] > 0.0:
                        smooth[r, c, s, k] = total[k] / asked[k]
    return smooth


@no_type_check
@njit(cache=True)
def _same_surface(x, n, y, m):
    """Whether point y (normal m) lies on the surface that x (normal n) is on."""
    if n[0] * m[0] + n[1] * m[1] + n[2] * m[2] < 0.5:
        return False
    apart = n[0] * (y[0] - x[0]) + n[1] * (y[1] - x[1]) + n[2] * (y[2] - x[2])
    return abs(apart) < 0.025


@no_type_check
@njit(cache=True)
def _shade(samples, seen, lights, ambient):
    """Linear radiance of the four samples of every pixel: H W 4 3."""
    height, width = samples.glow.shape[:2]
    count = lights.position.shape[0]
    radiance = np.empty((height, width, 4, 3))
    for r in range(height):
        for c in range(width):
            for s in range(4):
                x, n = samples.point[r, c, s], samples.normal[r, c, s]
                closed = seen[r, c, s, count] + seen[r, c, s, count + 1]
                # Light from above is a little stronger than from below.
                sky = max(1.0 - 0.42 * closed, 0.12) * (0.85 + 0.15 * n[2])
                red, green, blue = sky * ambient[0], sky * ambient[1], sky * ambient[2]
                hr = hg = hb = 0.0
                for i in range(count):
                    diffuse, shine = _unshadowed(lights, i, x, n, samples.back[r, c, s])
                    diffuse *= seen[r, c, s, i]
                    shine *= 0.25 * samples.gloss[r, c, s] * seen[r, c, s, i]
                    colour = lights.colour[i]
                    red += diffuse * colour[0]
                    green += diffuse * colour[1]
                    blue += diffuse * colour[2]
                    hr += shine * colour[0]
                    hg += shine * colour[1]
                    hb += shine * colour[2]
                glow, albedo = samples.glow[r, c, s], samples.albedo[r, c, s]
                radiance[r, c, s, 0] = albedo[0] * (red + glow) + hr
                radiance[r, c, s, 1] = albedo[1] * (green + glow) + hg
                radiance[r, c, s, 2] = albedo[2] * (blue + glow) + hb
    return radiance


@no_type_check
@njit(cache=True)
def _unshadowed(lights, i, x, n, v):
    """Diffuse and specular strength of light ``i`` where nothing is in its way."""
    px = lights.position[i, 0] - x[0]
    py = lights.position[i, 1] - x[1]
    pz = lights.position[i, 2] - x[2]
    squared = px * px + py * py + pz * pz
    distance = np.sqrt(squared)
    lx, ly, lz = px / distance, py / distance, pz / distance
    facing, emitted = lights.facing[i], 1.0
    if facing[0] != 0.0 or facing[1] != 0.0 or facing[2] != 0.0:
        emitted = -(lx * facing[0] + ly * facing[1] + lz * facing[2])
    cosine = n[0] * lx + n[1] * ly + n[2] * lz
    if cosine <= 0.0 or emitted <= 0.0:
        return 0.0, 0.0
    # Area lights are never infinitely near.
    strength = emitted / (squared + 0.15)
    hx, hy, hz = lx + v[0], ly + v[1], lz + v[2]
    half = n[0] * hx + n[1] * hy + n[2] * hz
    half /= np.sqrt(hx * hx + hy * hy + hz * hz)
    return strength * cosine, strength * max(half, 0.0) ** 40
