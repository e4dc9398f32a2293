"""Pictures of a room: colour, z-depth, class and instance of every pixel.

Ray casting with several area lights, soft shadows, ambient occlusion, an inverse-square
falloff and a simple highlight; two by two samples per pixel for colour. Depth and
labels are those of the ray through the pixel's centre, so they are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Float32, UInt8
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
from mmp3d.testing.synth_rooms.viewpoint import Viewpoint

# Longer than any room.
_FAR = 50.0


@dataclass(frozen=True)
class Picture:
    """What the camera sees.

    Attributes:
        rgb: sRGB, 0..255.
        depth: z-depth in metres.
        semantic: Class, an index into ``FRONT3D.classes``.
        instance_ids: From 1 for things; 0 for stuff.
    """

    rgb: UInt8[np.ndarray, 'H W 3']
    depth: Float32[np.ndarray, 'H W']
    semantic: UInt8[np.ndarray, 'H W']
    instance_ids: UInt8[np.ndarray, 'H W']


def render(scene: PackedScene, lights: Lights, view: Viewpoint) -> Picture:
    """Take a picture."""
    height, width = view.image_size
    depth, part = _cast_pixels(scene, view.cam2world, view.K, height, width)
    albedo, direct, shine, normal, openness, plane = _trace_samples(
        scene, lights.packed, view.cam2world, view.K, height, width
    )
    direct = _smooth_light(direct, normal, plane)
    radiance = albedo * (direct + openness[..., None] * lights.ambient) + shine
    owner = scene.owner[part]
    return Picture(
        rgb=_develop(radiance),
        depth=depth.astype(np.float32),
        semantic=scene.label[owner].astype(np.uint8),
        instance_ids=scene.instance_id[owner].astype(np.uint8),
    )


def _develop(radiance: np.ndarray) -> UInt8[np.ndarray, 'H W 3']:
    """Expose, compress highlights and encode, as a camera does.

    The tone curve acts on every sample before averaging.

    Source: K. Narkowicz, ACES filmic tone mapping curve, 2015.
    """
    luminance = radiance @ np.array([0.2126, 0.7152, 0.0722])
    middle = np.exp(np.log(luminance + 1e-3).mean())
    exposed = radiance * (0.22 / middle)
    mapped = exposed * (2.51 * exposed + 0.03)
    mapped /= exposed * (2.43 * exposed + 0.59) + 0.14
    pixels = np.clip(mapped, 0, 1).mean(axis=2)
    encoded = np.where(
        pixels <= 0.0031308, 12.92 * pixels, 1.055 * pixels ** (1 / 2.4) - 0.055
    )
    return np.round(255 * np.clip(encoded, 0, 1)).astype(np.uint8)


@no_type_check
@njit(cache=True)
def _direction(pose, K, u, v):
    """World direction of a pixel's ray; its parameter is the z-depth."""
    x, y = (u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1]
    return (
        pose[0, 0] * x + pose[0, 1] * y + pose[0, 2],
        pose[1, 0] * x + pose[1, 1] * y + pose[1, 2],
        pose[2, 0] * x + pose[2, 1] * y + pose[2, 2],
    )


@no_type_check
@njit(cache=True)
def _cast_pixels(scene, pose, K, height, width):
    depth = np.empty((height, width))
    part = np.empty((height, width), dtype=np.int64)
    ox, oy, oz = pose[0, 3], pose[1, 3], pose[2, 3]
    for r in range(height):
        for c in range(width):
            dx, dy, dz = _direction(pose, K, float(c), float(r))
            depth[r, c], part[r, c] = cast_ray(scene, ox, oy, oz, dx, dy, dz, 50.0)
    return depth, part


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
def _openness(scene, x, y, z, nx, ny, nz):
    """Ambient occlusion: 1 in the open, towards 0 in corners."""
    closed, weight = 0.0, 1.0
    for reach in (0.03, 0.09, 0.2, 0.4):
        d, _ = nearest_surface(
            scene, x + reach * nx, y + reach * ny, z + reach * nz, reach
        )
        closed += weight * (reach - d) / reach
        weight *= 0.72
    return max(1.0 - 0.42 * closed, 0.12)


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
def _light_sample(scene, lights, i, x, y, z, nx, ny, nz, vx, vy, vz, a, b):
    """Diffuse and specular strength of one point of light ``i``; 0 in its shadow."""
    px = lights.position[i, 0] + a * lights.first[i, 0] + b * lights.second[i, 0] - x
    py = lights.position[i, 1] + a * lights.first[i, 1] + b * lights.second[i, 1] - y
    pz = lights.position[i, 2] + a * lights.first[i, 2] + b * lights.second[i, 2] - z
    squared = px * px + py * py + pz * pz
    distance = np.sqrt(squared)
    lx, ly, lz = px / distance, py / distance, pz / distance
    cosine = nx * lx + ny * ly + nz * lz
    facing = lights.facing[i]
    emitted = 1.0
    if facing[0] != 0.0 or facing[1] != 0.0 or facing[2] != 0.0:
        emitted = -(lx * facing[0] + ly * facing[1] + lz * facing[2])
    if cosine <= 0.0 or emitted <= 0.0:
        return 0.0, 0.0
    if is_blocked(scene, x, y, z, px, py, pz, 0.999, lights.carrier[i]):
        return 0.0, 0.0
    strength = emitted / (squared + 0.15)
    hx, hy, hz = lx + vx, ly + vy, lz + vz
    half = (nx * hx + ny * hy + nz * hz) / np.sqrt(hx * hx + hy * hy + hz * hz)
    return strength * cosine, strength * max(half, 0.0) ** 40


@no_type_check
@njit(cache=True)
def _trace_samples(scene, lights, pose, K, height, width):
    """Follow four rays per pixel.

    Returns:
        albedo, direct light, shine and glow, normal (H W 4 3 each), then openness and
        the distance of the surface's plane from the world's origin (H W 4 each).
    """
    albedo = np.zeros((height, width, 4, 3))
    direct = np.zeros((height, width, 4, 3))
    shine = np.zeros((height, width, 4, 3))
    normal = np.zeros((height, width, 4, 3))
    openness = np.zeros((height, width, 4))
    plane = np.full((height, width, 4), 1e6)
    ox, oy, oz = pose[0, 3], pose[1, 3], pose[2, 3]
    for r in range(height):
        for c in range(width):
            for s in range(4):
                u, v = c + 0.5 * (s % 2) - 0.25, r + 0.5 * (s // 2) - 0.25
                dx, dy, dz = _direction(pose, K, u, v)
                t, p = cast_ray(scene, ox, oy, oz, dx, dy, dz, 50.0)
                if p < 0:
                    continue
                x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
                nx, ny, nz = normal_at(scene, p, x, y, z)
                if nx * dx + ny * dy + nz * dz > 0:
                    nx, ny, nz = -nx, -ny, -nz
                colour = _albedo(scene, p, x, y, z, nx, ny, nz)
                length = np.sqrt(dx * dx + dy * dy + dz * dz)
                vx, vy, vz = -dx / length, -dy / length, -dz / length
                # Off the surface, so that rays do not meet it again.
                x, y, z = x + 2e-3 * nx, y + 2e-3 * ny, z + 2e-3 * nz
                gloss = 0.25 * scene.gloss[scene.material[p]]
                glow = scene.emission[scene.material[p]]
                for i in range(lights.position.shape[0]):
                    a, b = _light_point(r, c, s, i)
                    diffuse, highlight = _light_sample(
                        scene, lights, i, x, y, z, nx, ny, nz, vx, vy, vz, a, b
                    )
                    for k in range(3):
                        direct[r, c, s, k] += diffuse * lights.colour[i, k]
                        shine[r, c, s, k] += gloss * highlight * lights.colour[i, k]
                for k in range(3):
                    albedo[r, c, s, k] = colour[k]
                    shine[r, c, s, k] += glow * colour[k]
                # Light from above is a little stronger than from below.
                openness[r, c, s] = _openness(scene, x, y, z, nx, ny, nz)
                openness[r, c, s] *= 0.85 + 0.15 * nz
                normal[r, c, s] = (nx, ny, nz)
                plane[r, c, s] = nx * x + ny * y + nz * z
    return albedo, direct, shine, normal, openness, plane


@no_type_check
@njit(cache=True)
def _smooth_light(direct, normal, plane):
    """Average direct light over the neighbours that lie in the same plane.

    One point of each light per sample is noise; the pixels around it know the others.
    """
    height, width = plane.shape[:2]
    smooth = np.empty_like(direct)
    for r in range(height):
        for c in range(width):
            for s in range(4):
                n, total = normal[r, c, s], 0.0
                lr = lg = lb = 0.0
                for i in range(max(r - 2, 0), min(r + 3, height)):
                    for j in range(max(c - 2, 0), min(c + 3, width)):
                        if abs(plane[i, j, s] - plane[r, c, s]) > 0.03:
                            continue
                        m = normal[i, j, s]
                        if n[0] * m[0] + n[1] * m[1] + n[2] * m[2] < 0.97:
                            continue
                        # A tile has 4 x 4 pixels: the outer ones count half.
                        weight = 0.5 if abs(i - r) == 2 else 1.0
                        weight *= 0.5 if abs(j - c) == 2 else 1.0
                        light = direct[i, j, s]
                        lr += weight * light[0]
                        lg += weight * light[1]
                        lb += weight * light[2]
                        total += weight
                if total > 0.0:
                    smooth[r, c, s] = (lr / total, lg / total, lb / total)
                else:
                    smooth[r, c, s] = direct[r, c, s]
    return smooth
