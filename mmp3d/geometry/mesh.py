"""From a distance field to a surface.

Source: Lewiner et al., Efficient Implementation of Marching Cubes' Cases with
Topological Guarantees, Journal of Graphics Tools 8(2), 2003 (scikit-image).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int, Integer
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from mmp3d.structures import FrustumGrid, TriangleMesh
from mmp3d.utils import check_positive

# How far, in voxels, an unlabelled piece of surface looks for a label.
_LABEL_REACH = 4.0


def mesh_from_volume(
    tudf: Float[np.ndarray, 'X Y Z'],
    ids: Integer[np.ndarray, 'X Y Z'],
    grid: FrustumGrid,
    iso: float = 1.0,
    inside: Bool[np.ndarray, 'X Y Z'] | None = None,
) -> TriangleMesh:
    """Take the iso-surface of a distance field, and the nearest label for each vertex.

    An unsigned field has no inside, so a wall gives two sheets, ``iso`` voxels before
    and behind its true surface. The normals tell them apart.

    Args:
        tudf: Distance in voxels.
        ids: Segment of each voxel, 0 = unassigned.
        grid: Where the voxels stand.
        iso: Distance of the surface in voxels.
        inside: Voxels that may bear surface; ``None`` = all.

    Returns:
        The surface in metres in the camera frame; empty where nothing is near enough.

    Raises:
        ValueError: If the shapes differ.
    """
    check_positive('iso', iso)
    if tudf.shape != grid.dims or ids.shape != grid.dims:
        raise ValueError(
            f'distances {tudf.shape} and ids {ids.shape} must lie on the grid '
            f'{grid.dims}'
        )
    near = np.abs(tudf) < iso
    if inside is not None:
        near &= inside
    box = _box_around(near)
    if box is None:
        return _empty()
    # Beyond the mask there is no surface, not even the border of one.
    field = np.abs(tudf[box]).astype(np.float32)
    cells = None if inside is None else _all_corners(inside[box])
    if (
        field.min() >= iso
        or field.max() <= iso
        or (cells is not None and not cells.any())
    ):
        return _empty()
    vertices, faces, normals, _ = marching_cubes(
        field, iso, mask=cells, gradient_direction='ascent'
    )
    vertices += [axis.start for axis in box]
    points = np.asarray(grid.origin_metres) + grid.voxel_size * vertices
    return TriangleMesh(
        points.astype(np.float32),
        # The library's triangles and normals look towards smaller distances.
        faces[:, ::-1].astype(np.int32),
        -normals.astype(np.float32),
        _nearest_ids(vertices, near, ids),
    )


def _empty() -> TriangleMesh:
    points = np.zeros((0, 3), np.float32)
    return TriangleMesh(
        points, np.zeros((0, 3), np.int32), points, np.zeros(0, np.int32)
    )


def _box_around(mask: Bool[np.ndarray, 'X Y Z']) -> tuple[slice, ...] | None:
    """The part of the grid with a margin of two cells around a mask."""
    box = []
    for axis, size in enumerate(mask.shape):
        others = tuple(other for other in range(3) if other != axis)
        hit = np.flatnonzero(mask.any(axis=others))
        if hit.size == 0:
            return None
        box.append(slice(max(int(hit[0]) - 2, 0), min(int(hit[-1]) + 3, size)))
    return tuple(box)


def _all_corners(inside: Bool[np.ndarray, 'X Y Z']) -> Bool[np.ndarray, 'X Y Z']:
    """Cells (named by their last corner, as marching_cubes does) wholly inside."""
    cells = inside.copy()
    cells[1:] &= inside[:-1]
    cells[:, 1:] &= cells[:, :-1].copy()
    cells[:, :, 1:] &= cells[:, :, :-1].copy()
    return cells


def _nearest_ids(
    vertices: Float[np.ndarray, 'N 3'],
    near: Bool[np.ndarray, 'X Y Z'],
    ids: Integer[np.ndarray, 'X Y Z'],
) -> Int[np.ndarray, ' N']:
    cells = np.clip(np.rint(vertices).astype(np.int64), 0, np.array(ids.shape) - 1)
    found = ids[tuple(cells.T)].astype(np.int32)
    lost = np.flatnonzero(found == 0)
    labelled = np.argwhere(near & (ids > 0))
    if lost.size == 0 or len(labelled) == 0:
        return found
    tree = cKDTree(labelled)
    distance, row = tree.query(vertices[lost], distance_upper_bound=_LABEL_REACH)
    lost, row = lost[np.isfinite(distance)], row[np.isfinite(distance)]
    found[lost] = ids[tuple(labelled[row].T)]
    return found
