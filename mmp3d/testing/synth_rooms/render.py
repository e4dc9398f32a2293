"""Pictures of a room: colour, z-depth, class and instance of every pixel.

Depth and labels are those of the ray through the pixel's centre, so they are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Float, Float32, UInt8
from numba import njit

from mmp3d.testing.synth_rooms.lights import Lights
from mmp3d.testing.synth_rooms.scene import PackedScene, cast_ray
from mmp3d.testing.synth_rooms.shading import sample_radiance
from mmp3d.testing.synth_rooms.viewpoint import FAR, Viewpoint, pixel_direction


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
    owner = scene.owner[part]
    return Picture(
        rgb=_develop(sample_radiance(scene, lights, view)),
        depth=depth.astype(np.float32),
        semantic=scene.label[owner].astype(np.uint8),
        instance_ids=scene.instance_id[owner].astype(np.uint8),
    )


def _develop(radiance: Float[np.ndarray, 'H W 4 3']) -> UInt8[np.ndarray, 'H W 3']:
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
def _cast_pixels(scene, pose, K, height, width):
    depth = np.empty((height, width))
    part = np.empty((height, width), dtype=np.int64)
    ox, oy, oz = pose[0, 3], pose[1, 3], pose[2, 3]
    for r in range(height):
        for c in range(width):
            dx, dy, dz = pixel_direction(pose, K, float(c), float(r))
            depth[r, c], part[r, c] = cast_ray(scene, ox, oy, oz, dx, dy, dz, FAR)
    return depth, part
