"""Targets that only NvPanoptix3D needs: the occupancy of depth planes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import torch
from jaxtyping import Bool, Int
from mmcv.transforms import BaseTransform

from mmp3d.geometry import DepthPlanes, scale_intrinsics, visible_voxels
from mmp3d.registry import TRANSFORMS
from mmp3d.utils import check_positive

# One entry takes 20 MB for 256 voxels.
_MAX_TABLES = 8


@dataclass(frozen=True)
class _CellTable:
    """Where the voxels of a grid fall on the depth planes of a camera.

    Attributes:
        voxels: Flat index of each voxel that the image sees.
        cells: Flat index of its cell (plane, row, column).
    """

    voxels: Int[np.ndarray, ' N']
    cells: Int[np.ndarray, ' N']


@TRANSFORMS.register_module()
class PlaneOccupancyTarget(BaseTransform):
    """Find the cells (plane, row, column) before the image that are occupied.

    A cell is occupied if any voxel that falls into it or into one of its neighbours is.

    Required keys: ``K``, ``img_shape``, ``grid``, ``frustum_mask``, ``gt_tudf``. Added:
    ``gt_plane_occupancy`` (bool, ``P h w``).

    Args:
        num_planes: Number of depth planes up to the far end of the grid.
        plane_size: (height, width) of the reduced plane.
        band: A voxel is occupied where the distance to the next surface is below this
            many voxels. 12 in the published training; BUOL has 3.

    Source: NVPanoptix3D, multi-plane occupancy; BUOL, section 3.2.

    Differs: Where several voxels fall into a cell, any of them counts; the reference
        keeps an undefined one.
    """

    def __init__(
        self,
        num_planes: int = 100,
        plane_size: Sequence[int] = (120, 160),
        band: float = 12.0,
    ) -> None:
        check_positive('num_planes of PlaneOccupancyTarget', num_planes)
        check_positive('band of PlaneOccupancyTarget', band)
        height, width = plane_size
        self.num_planes = num_planes
        self.plane_size = (height, width)
        self.band = band
        self._tables: OrderedDict[tuple, _CellTable] = OrderedDict()

    def transform(self, results: dict) -> dict:
        """Add the target."""
        table = self._table(results)
        occupied = results['gt_tudf'].reshape(-1)[table.voxels] < self.band
        planes = DepthPlanes(
            self.num_planes, results['grid'].depth_range[1], self.plane_size
        )
        results['gt_plane_occupancy'] = plane_occupancy(occupied, table.cells, planes)
        return results

    def _table(self, results: dict) -> _CellTable:
        """Look up the cells of a camera: cameras repeat, and a table takes long."""
        K, size = results['K'], tuple(results['img_shape'][:2])
        grid, mask = results['grid'], np.asarray(results['frustum_mask'])
        key = (K.tobytes(), size, grid, blake2b(np.packbits(mask)).digest())
        if key in self._tables:
            self._tables.move_to_end(key)
            return self._tables[key]
        reduced = scale_intrinsics(K, size, self.plane_size, corner_aligned=True)
        voxels = visible_voxels(
            torch.from_numpy(reduced).float(),
            self.plane_size,
            grid,
            torch.from_numpy(mask),
        )
        planes = DepthPlanes(self.num_planes, grid.depth_range[1], self.plane_size)
        table = _CellTable(
            np.ravel_multi_index(voxels.coords.numpy().T, grid.dims).astype(np.int32),
            voxels.cells(planes).numpy().astype(np.int32),
        )
        self._tables[key] = table
        if len(self._tables) > _MAX_TABLES:
            self._tables.popitem(last=False)
        return table

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(num_planes={self.num_planes}, '
            f'plane_size={self.plane_size}, band={self.band})'
        )


def plane_occupancy(
    occupied: Bool[np.ndarray, ' N'],
    cells: Int[np.ndarray, ' N'],
    planes: DepthPlanes,
) -> Bool[np.ndarray, 'P h w']:
    """Mark the cells of occupied voxels and the neighbours of those cells.

    Args:
        occupied: Of each visible voxel.
        cells: Flat index of its cell (plane, row, column).
        planes: Their number and size.
    """
    target = np.zeros((planes.num_planes, *planes.size), dtype=bool)
    target.reshape(-1)[cells[occupied]] = True
    for axis in range(3):
        spread = target.copy()
        before, after = (
            tuple(part if i == axis else slice(None) for i in range(3))
            for part in (slice(None, -1), slice(1, None))
        )
        spread[after] |= target[before]
        spread[before] |= target[after]
        target = spread
    return target
