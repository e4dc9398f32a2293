"""Volumes of a room on the lattice of a frustum grid: distances, labels, weights.

A voxel's value is that of its lattice point, ``origin_metres + index * voxel_size`` in
the camera frame. Only voxels inside the viewing frustum are filled; there the distance
is exact: to the nearest surface of any primitive, hidden ones and those just outside
the frustum included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from numba import njit

from mmp3d.structures import FRONT3D, FrustumGrid
from mmp3d.testing.synth_rooms.scene import PackedScene
from mmp3d.testing.synth_rooms.shapes import signed_distance
from mmp3d.testing.synth_rooms.viewpoint import Viewpoint

# Voxels nearer than this to a surface carry its label: both iso values of the metric
# (1 and 2 voxels) then lie within the labelled band.
LABEL_BAND = 2.0

# Loss weights: free space, labelled stuff, labelled things.
FREE_WEIGHT, STUFF_WEIGHT, THING_WEIGHT = 1.0, 2.0, 4.0


@dataclass(frozen=True)
class Volumes:
    """Ground truth of one view, camera-aligned.

    Attributes:
        tudf: Unsigned distance to the nearest surface in voxels, cut at the grid's
            truncation; the truncation itself outside the frustum.
        semantic: Class where ``tudf`` < ``LABEL_BAND``, else 0.
        instance_ids: Instance where ``tudf`` < ``LABEL_BAND``, else 0; 0 for stuff.
        weights: ``THING_WEIGHT`` and ``STUFF_WEIGHT`` on labelled voxels, else
            ``FREE_WEIGHT``.
    """

    tudf: Float32[np.ndarray, 'X Y Z']
    semantic: UInt8[np.ndarray, 'X Y Z']
    instance_ids: UInt8[np.ndarray, 'X Y Z']
    weights: Float32[np.ndarray, 'X Y Z']


def compute_volumes(
    scene: PackedScene,
    view: Viewpoint,
    grid: FrustumGrid,
    frustum: Bool[np.ndarray, 'X Y Z'],
) -> Volumes:
    """Measure the room on a grid in front of the camera.

    Args:
        scene: The room.
        view: The camera.
        grid: The lattice.
        frustum: Voxels that the camera can see into; each row along x must be one run.
    """
    start = frustum.argmax(axis=0)
    stop = start + frustum.sum(axis=0)
    offsets, steps = _lattice_in_parts(scene, view, grid)
    tudf = np.full(grid.dims, grid.truncation, dtype=np.float32)
    part = np.full(grid.dims, -1, dtype=np.int16)
    _fill(scene, offsets, steps, start, stop, grid.voxel_size, tudf, part)
    owner = np.append(scene.owner, -1)
    label = np.append(scene.label, 0).astype(np.uint8)
    instance_id = np.append(scene.instance_id, 0).astype(np.uint8)
    part[tudf >= LABEL_BAND] = -1
    semantic = label[owner][part]
    instance_ids = instance_id[owner][part]
    return Volumes(tudf, semantic, instance_ids, _weights()[semantic])


def inside_solids(
    scene: PackedScene,
    view: Viewpoint,
    grid: FrustumGrid,
    frustum: Bool[np.ndarray, 'X Y Z'],
) -> Bool[np.ndarray, 'X Y Z']:
    """Mark the voxels of the frustum that lie within furniture, walls or floor."""
    offsets, steps = _lattice_in_parts(scene, view, grid)
    inside = np.zeros(grid.dims, dtype=np.bool_)
    _mark_inside(scene, offsets, steps, inside)
    return inside & frustum


def _weights() -> Float32[np.ndarray, ' C']:
    table = np.full(FRONT3D.num_classes, STUFF_WEIGHT, dtype=np.float32)
    table[list(FRONT3D.thing_labels)] = THING_WEIGHT
    table[FRONT3D.void] = FREE_WEIGHT
    return table


def _lattice_in_parts(
    scene: PackedScene, view: Viewpoint, grid: FrustumGrid
) -> tuple[np.ndarray, np.ndarray]:
    """Lattice point (0, 0, 0) and the three steps between points, in parts' frames."""
    rotation, camera = view.cam2world[:3, :3], view.cam2world[:3, 3]
    origin = rotation @ np.array(grid.origin_metres) + camera
    offsets = np.einsum('pij,pj->pi', scene.axes, origin - scene.centre)
    return offsets, scene.axes @ rotation * grid.voxel_size


@no_type_check
@njit(cache=True)
def _index_range(offset, step, half, reach, axis, count):
    """Indices along one grid axis that a box, grown by ``reach``, can cover.

    ``offset`` and ``step`` map indices to the box's frame; the inverse maps the box's
    corners back. Steps are a rotation times the voxel size.
    """
    squared = step[0, 0] ** 2 + step[1, 0] ** 2 + step[2, 0] ** 2
    middle, extent = 0.0, 0.0
    for k in range(3):
        middle -= step[k, axis] * offset[k] / squared
        extent += abs(step[k, axis]) * (half[k] + reach) / squared
    low = int(np.floor(middle - extent))
    high = int(np.ceil(middle + extent)) + 1
    return max(low, 0), min(high, count)


@no_type_check
@njit(cache=True)
def _fill(scene, offsets, steps, start, stop, voxel_size, tudf, part):
    """Visit, for every part, the frustum's voxels within the truncation of its box."""
    dims = tudf.shape
    for p in range(scene.kind.shape[0]):
        kind, size, rounding = scene.kind[p], scene.size[p], scene.rounding[p]
        half = size.copy()
        if kind == 1:
            half[0] = half[1] = max(size[0], size[1])
        reach = tudf[0, 0, 0] * voxel_size
        offset, step = offsets[p], steps[p]
        y0, y1 = _index_range(offset, step, half, reach, 1, dims[1])
        z0, z1 = _index_range(offset, step, half, reach, 2, dims[2])
        for iy in range(y0, y1):
            for iz in range(z0, z1):
                bx = offset[0] + step[0, 1] * iy + step[0, 2] * iz
                by = offset[1] + step[1, 1] * iy + step[1, 2] * iz
                bz = offset[2] + step[2, 1] * iy + step[2, 2] * iz
                low, high = float(start[iy, iz]), float(stop[iy, iz] - 1)
                for k in range(3):
                    base = bx if k == 0 else (by if k == 1 else bz)
                    slope, limit = step[k, 0], half[k] + reach
                    if abs(slope) < 1e-9:
                        if abs(base) > limit:
                            high = -1.0
                        continue
                    a, b = (-limit - base) / slope, (limit - base) / slope
                    low, high = max(low, min(a, b)), min(high, max(a, b))
                for ix in range(int(np.ceil(low)), int(np.floor(high)) + 1):
                    d = signed_distance(
                        kind,
                        size,
                        rounding,
                        bx + step[0, 0] * ix,
                        by + step[1, 0] * ix,
                        bz + step[2, 0] * ix,
                    )
                    d = abs(d) / voxel_size
                    if d < tudf[ix, iy, iz]:
                        tudf[ix, iy, iz] = d
                        part[ix, iy, iz] = p


@no_type_check
@njit(cache=True)
def _mark_inside(scene, offsets, steps, inside):
    """Visit, for every part, the voxels of its bounding box."""
    dims = inside.shape
    for p in range(scene.kind.shape[0]):
        kind, size, rounding = scene.kind[p], scene.size[p], scene.rounding[p]
        half = size.copy()
        if kind == 1:
            half[0] = half[1] = max(size[0], size[1])
        elif kind == 2:
            half[1] = half[2] = size[0]
        offset, step = offsets[p], steps[p]
        x0, x1 = _index_range(offset, step, half, 0.0, 0, dims[0])
        y0, y1 = _index_range(offset, step, half, 0.0, 1, dims[1])
        z0, z1 = _index_range(offset, step, half, 0.0, 2, dims[2])
        for ix in range(x0, x1):
            for iy in range(y0, y1):
                for iz in range(z0, z1):
                    x = offset[0] + step[0, 0] * ix + step[0, 1] * iy + step[0, 2] * iz
                    y = offset[1] + step[1, 0] * ix + step[1, 1] * iy + step[1, 2] * iz
                    z = offset[2] + step[2, 0] * ix + step[2, 1] * iy + step[2, 2] * iz
                    if signed_distance(kind, size, rounding, x, y, z) < 0.0:
                        inside[ix, iy, iz] = True
