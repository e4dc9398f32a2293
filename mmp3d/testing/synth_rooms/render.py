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

from mmp3d.testing.synth_rooms.lights import Lights, PackedLights
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
    radiance = _shade_pixels(
        scene, lights.packed, lights.ambient, view.cam2world, view.K, height, width
    )
    owner = scene.owner[part]
    return Picture(
        rgb=_develop(radiance),
        depth=depth.astype(np.float32),
        semantic=scene.label[owner].astype(np.uint8),
        instance_ids=scene.instance_id[owner].astype(np.uint8),
    )


def _develop(radiance: np.ndarray) -> UInt8[np.ndarray, 'H W 3']:
    """Expose, compress highlights and encode, as a camera does.

    Source: tone curve x (1 + x / w^2) / (1 + x): Reinhard et al., Photographic Tone
    Reproduction for Digital Images, 2002, equation 4, on every sample before averaging.
    """
    luminance = radiance @ np.array([0.2126, 0.7152, 0.0722])
    middle = np.exp(np.log(luminance + 1e-3).mean())
    exposed = radiance * (0.36 / middle)
    white = 3.5
    mapped = exposed * (1 + exposed / white**2) / (1 + exposed)
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
def _jitter(r, c, sample, channel):
    """A number in 0..1 that looks random over the image."""
    h = (r * 73856093) ^ (c * 19349663) ^ (sample * 83492791) ^ (channel * 2654435761)
    h &= 0xFFFFFFFF
    h = ((h ^ (h >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
    h = ((h ^ (h >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
    return ((h ^ (h >> 16)) & 0xFFFFFF) / 16777216.0


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
def _shade_pixels(scene, lights, ambient, pose, K, height, width):
    """Linear radiance of the four samples of every pixel: H W 4 3."""
    radiance = np.zeros((height, width, 4, 3))
    ox, oy, oz = pose[0, 3], pose[1, 3], pose[2, 3]
    count = lights.position.shape[0]
    for r in range(height):
        for c in range(width):
            for sample in range(4):
                u = c + 0.5 * (sample % 2) - 0.25
                v = r + 0.5 * (sample // 2) - 0.25
                dx, dy, dz = _direction(pose, K, u, v)
                t, p = cast_ray(scene, ox, oy, oz, dx, dy, dz, 50.0)
                if p < 0:
                    continue
                x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
                nx, ny, nz = normal_at(scene, p, x, y, z)
                if nx * dx + ny * dy + nz * dz > 0:
                    nx, ny, nz = -nx, -ny, -nz
                red, green, blue = _albedo(scene, p, x, y, z, nx, ny, nz)
                length = np.sqrt(dx * dx + dy * dy + dz * dz)
                vx, vy, vz = -dx / length, -dy / length, -dz / length
                sx, sy, sz = x + 2e-3 * nx, y + 2e-3 * ny, z + 2e-3 * nz
                m = scene.material[p]
                # Light from above is a little stronger than from below.
                sky = _openness(scene, sx, sy, sz, nx, ny, nz) * (0.85 + 0.15 * nz)
                lr, lg, lb = sky * ambient[0], sky * ambient[1], sky * ambient[2]
                hr = hg = hb = 0.0
                for i in range(count):
                    for k in range(lights.samples):
                        a = _jitter(r, c, sample * 8 + k, 2 * i)
                        b = _jitter(r, c, sample * 8 + k, 2 * i + 1)
                        # Strata: the four samples of a pixel share the light's area.
                        a = 2 * ((a + sample % 2) / 2) - 1
                        b = 2 * ((b + sample // 2) / 2) - 1
                        diffuse, shine = _light_sample(
                            scene, lights, i, sx, sy, sz, nx, ny, nz, vx, vy, vz, a, b
                        )
                        diffuse /= lights.samples
                        shine *= scene.gloss[m] / lights.samples
                        lr += diffuse * lights.colour[i, 0]
                        lg += diffuse * lights.colour[i, 1]
                        lb += diffuse * lights.colour[i, 2]
                        hr += shine * lights.colour[i, 0]
                        hg += shine * lights.colour[i, 1]
                        hb += shine * lights.colour[i, 2]
                glow = scene.emission[m]
                out = radiance[r, c, sample]
                out[0] = red * (lr + glow) + 0.25 * hr
                out[1] = green * (lg + glow) + 0.25 * hg
                out[2] = blue * (lb + glow) + 0.25 * hb
    return radiance
