"""Occupancy lifting: features for the voxels behind the visible surface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from mmp3d.geometry import (
    DepthPlanes,
    VisibleVoxels,
    scale_intrinsics,
    visible_voxels,
)
from mmp3d.registry import MODELS
from mmp3d.sparse import SparseVoxels
from mmp3d.sparse.voxels import merge
from mmp3d.structures import CameraBatch, FrustumGrid
from mmp3d.utils import check_choice
from projects.NvPanoptix3D.nvpanoptix3d.view_segmentation import ViewSegmentation


@dataclass(frozen=True)
class _DepthBand:
    """Planes that one image fills: just before its surface to the room's far side.

    Attributes:
        surface: Plane of the visible surface.
        active: Whether a plane of a pixel is filled.
    """

    surface: Int[Tensor, 'h w']
    active: Bool[Tensor, 'P h w']


@MODELS.register_module()
class OccupancyLifting(nn.Module):
    """Give features to the voxels between the visible surface and the room's far side.

    The far side of a pixel comes from the depth of walls, floor and ceiling in its row
    and column. A halo of empty voxels surrounds the filled ones, so that the decoder
    has room to grow. Has no weights.

    Channels: class probabilities of the pixel, occupancy probability of its plane, sign
    of the distance to the visible surface (positive behind it), that distance in
    metres.

    Args:
        stuff_start: First label that counts as stuff (wall, floor, ceiling).
        before: Filling starts this many planes before the visible surface, exclusive.
        behind: It ends this many planes behind the far side, exclusive.
        erosion: Edge in pixels of the window that stuff must fill.
        halo: Edge in voxels of the window that spreads the halo.
        duplicates: Halo coordinates are rounded down to even ones and can coincide,
            also with filled voxels. 'first' keeps the filled voxel or the first of the
            halo and sorts the voxels; 'all' keeps every row, filled ones first.

    Source: NVPanoptix3D, occupancy-aware lifting; BUOL, section 3.3.

    Differs: Several images per batch; deterministic duplicates; no 256-cubed table of
    pixels is made.
    """

    def __init__(
        self,
        stuff_start: int = 10,
        before: int = 3,
        behind: int = 5,
        erosion: int = 5,
        halo: int = 5,
        duplicates: str = 'first',
    ) -> None:
        super().__init__()
        check_choice('duplicates of OccupancyLifting', duplicates, ('first', 'all'))
        for name, window in (('erosion', erosion), ('halo', halo)):
            if window < 1 or window % 2 == 0:
                raise ValueError(
                    f'{name} of OccupancyLifting must be odd and positive, got {window}'
                )
        self.stuff_start = stuff_start
        self.before = before
        self.behind = behind
        self.erosion = erosion
        self.halo = halo
        self.duplicates = duplicates

    def forward(
        self,
        plane_logits: Float[Tensor, 'B P h w'],
        images: Sequence[ViewSegmentation],
        inputs: CameraBatch,
    ) -> SparseVoxels:
        """Lift a batch.

        Args:
            plane_logits: Occupancy of the depth planes of the reduced plane.
            images: Depth and class probabilities on the same plane.
            inputs: Cameras, sizes, grid and frustum masks.

        Raises:
            ValueError: If the batch has no frustum masks.
        """
        if inputs.frustum_mask is None:
            raise ValueError(
                'OccupancyLifting needs CameraBatch.frustum_mask, got None. Load or '
                'compute it in the data pipeline.'
            )
        lifted = [
            self._lift_image(i, plane_logits[i], image, inputs)
            for i, image in enumerate(images)
        ]
        coords = torch.cat([coords for coords, _ in lifted]).int()
        feats = torch.cat([feats for _, feats in lifted])
        voxels = SparseVoxels(coords, feats, 1, len(images))
        return merge(voxels) if self.duplicates == 'first' else voxels

    def _lift_image(
        self,
        sample: int,
        plane_logits: Float[Tensor, 'P h w'],
        image: ViewSegmentation,
        inputs: CameraBatch,
    ) -> tuple[Int[Tensor, 'N 4'], Float[Tensor, 'N C']]:
        """Coordinates and features of one image: filled voxels, then the halo."""
        plane_size = _common_size(plane_logits, image)
        planes = DepthPlanes(len(plane_logits), inputs.grid.depth_range[1], plane_size)
        K = scale_intrinsics(
            inputs.K[sample, 0], inputs.image_sizes[sample], plane_size, True
        )
        mask = inputs.frustum_mask[sample]
        voxels = visible_voxels(K.float(), plane_size, inputs.grid, mask)
        band = self._depth_band(image, planes)
        active = band.active
        if inputs.room_mask is not None:
            active = active & inputs.room_mask[sample]

        cells = voxels.cells(planes)
        filled = active.flatten()[cells]
        feats = _features(cells[filled], plane_logits, image, band, planes)
        filled = voxels.coords[filled]
        halo = self._halo(filled, voxels, inputs.grid)
        feats = F.pad(feats, (0, 0, 0, len(halo)))  # halo rows hold zeros
        # The last index is never filled, and all move by one: so were the weights
        # trained.
        coords = torch.cat((filled, halo)) - 1
        last = coords.new_tensor(inputs.grid.dims) - 1
        inside = ((coords >= 0) & (coords < last)).all(dim=1)
        return F.pad(coords[inside], (1, 0), value=sample), feats[inside]

    def _depth_band(self, image: ViewSegmentation, planes: DepthPlanes) -> _DepthBand:
        depth = image.depth.clamp(max=planes.far)
        stuff = image.panoptic.class_probs.argmax(dim=0) >= self.stuff_start
        surface = _plane_edge(depth, planes)
        far = _plane_edge(_far_side(depth * _erode(stuff, self.erosion)), planes)
        plane = torch.arange(planes.num_planes, device=depth.device)[:, None, None]
        active = (plane > surface - self.before) & (plane < far + self.behind)
        return _DepthBand(surface, active)

    def _halo(
        self, filled: Int[Tensor, 'N 3'], voxels: VisibleVoxels, grid: FrustumGrid
    ) -> Int[Tensor, 'M 3']:
        """Empty visible voxels around the filled ones, at even coordinates."""
        volume = filled.new_zeros(grid.dims, dtype=torch.bool)
        volume[tuple(filled.T)] = True
        halo = _dilate(volume, self.halo) & ~volume
        coords = voxels.coords
        coords = coords[halo[tuple(coords.T)]]
        if not len(filled) + len(coords):
            # The sparse layers of the released model needed a voxel in every sample.
            coords = coords.new_tensor([[n // 2 - 1 for n in grid.dims]])
        return coords // 2 * 2


def _common_size(
    plane_logits: Float[Tensor, 'P h w'], image: ViewSegmentation
) -> tuple[int, int]:
    height, width = image.depth.shape
    if tuple(plane_logits.shape[1:]) != (height, width):
        raise ValueError(
            f'plane_logits and the depth of the plane must agree in size, got '
            f'{tuple(plane_logits.shape[1:])} and {(height, width)}. Give the plane '
            'occupancy head the reduced_size of the panoptic head.'
        )
    return height, width


def _plane_edge(depth: Float[Tensor, '*N'], planes: DepthPlanes) -> Int[Tensor, '*N']:
    """Plane of a depth; ``num_planes`` at the far end, unlike ``DepthPlanes.index``."""
    return (depth / planes.far * planes.num_planes).long()


def _features(
    cells: Int[Tensor, ' N'],
    plane_logits: Float[Tensor, 'P h w'],
    image: ViewSegmentation,
    band: _DepthBand,
    planes: DepthPlanes,
) -> Float[Tensor, 'N C']:
    height, width = planes.size
    plane = cells // (height * width)
    pixel = cells % (height * width)
    behind = (plane - band.surface.flatten()[pixel]).to(plane_logits.dtype)
    probs = image.panoptic.class_probs.flatten(1).T[pixel]
    occupancy = plane_logits.flatten()[cells].sigmoid()
    distance = behind.abs() * (planes.far / planes.num_planes)
    columns = (probs, occupancy[:, None], behind.sign()[:, None], distance[:, None])
    return torch.cat(columns, dim=1)


def _erode(mask: Bool[Tensor, 'h w'], window: int) -> Bool[Tensor, 'h w']:
    """Keep the pixels whose window is filled; what lies outside the map counts so."""
    outside = F.max_pool2d((~mask).float()[None], window, 1, window // 2)[0]
    return outside == 0


def _far_side(envelope: Float[Tensor, 'h w']) -> Float[Tensor, 'h w']:
    """Depth in metres at which the room ends, for each pixel.

    Args:
        envelope: Depth of walls, floor and ceiling; 0 elsewhere.

    Differs: The reference first repairs the border of ``envelope``, but what it writes
        there is always what was there. Left out.
    """
    columns = _fill_gaps(envelope.amax(dim=0))
    rows = _fill_gaps(envelope.amax(dim=1))
    return torch.minimum(rows[:, None], columns)


def _fill_gaps(values: Float[Tensor, ' n']) -> Float[Tensor, ' n']:
    """Replace each 0 by the larger of the minima before and after it, first to last.

    The minima are taken over what is not 0, and earlier replacements count. An empty
    side counts 0.
    """
    known = torch.where(values > 0, values, torch.inf)
    end = known.new_full((1,), torch.inf)
    before = torch.cat((end, known.cummin(dim=0).values[:-1]))
    after = torch.cat((known.flip(0).cummin(dim=0).values.flip(0)[1:], end))
    # A replaced first value is the smallest of all, and all later ones see it. Other
    # replacements are no smaller than what is before them anyway.
    before = torch.where(values[0] > 0, before, known.amin())
    before = torch.where(before.isinf(), 0, before)
    after = torch.where(after.isinf(), 0, after)
    return torch.where(values > 0, values, torch.maximum(before, after))


def _dilate(volume: Bool[Tensor, 'X Y Z'], window: int) -> Bool[Tensor, 'X Y Z']:
    for axis in range(3):
        spread = volume.clone()
        n = volume.shape[axis]
        for step in range(1, min(window // 2, n - 1) + 1):
            lower = volume.narrow(axis, 0, n - step)
            upper = volume.narrow(axis, step, n - step)
            spread.narrow(axis, step, n - step).logical_or_(lower)
            spread.narrow(axis, 0, n - step).logical_or_(upper)
        volume = spread
    return volume
