"""Surface lifting: every pixel fills a short column of voxels around its depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from mmp3d.geometry import apply_matrix, camera_to_grid
from mmp3d.registry import MODELS
from mmp3d.sparse import SparseVoxels
from mmp3d.sparse.voxels import merge
from mmp3d.structures import CameraBatch
from mmp3d.utils import check_choice
from projects.NvPanoptix3D.nvpanoptix3d.view_segmentation import ViewSegmentation


@dataclass(frozen=True)
class SurfaceVoxels:
    """What the surface lifting hands on.

    Attributes:
        fine: Stride 1; channels: sign of the distance along z, its size in voxels,
            encoder features, class probabilities.
        coarse: Pixel-decoder features at strides 2, 4 and 8.
    """

    fine: SparseVoxels
    coarse: tuple[SparseVoxels, ...]


@dataclass(frozen=True)
class _Columns:
    """Voxels over the pixels with a usable depth: M pixels, K voxels each.

    Attributes:
        coords: (sample, x, y, z) of each voxel, one pixel's column after the other.
        offsets: Signed distance of each voxel from the surface, along z, in voxels.
        pixels: (sample, row, column) of each pixel.
    """

    coords: Int[Tensor, 'MK 4']
    offsets: Float[Tensor, ' MK']
    pixels: Int[Tensor, 'M 3']


@MODELS.register_module()
class SurfaceLifting(nn.Module):
    """Carry image features to the voxels around the predicted depth.

    Has no weights. Voxel size, grid dims and depth range come from the batch's grid.

    Args:
        truncation: How many voxels of stride 1 a column reaches to either side of the
            surface. At stride s it is the nearest whole number to ``truncation / s``.
        coarse_sampling: Where a coarse level reads its map. 'published': at the pixel
            divided by twice the map's size, which reaches only the upper left part of
            a map that is larger than an eighth of the image. The released weights were
            trained that way. 'whole_map': at the pixel's own place.
        duplicates: Several pixels can fall into one voxel. 'first' keeps the row of the
            first pixel, row by row through the image, and sorts the voxels; 'all' keeps
            every row in the order of the pixels.

    Source: NVPanoptix3D, sparse projection; Uni-3D, section 3.3.

    Differs: Several images per batch; constants come from the grid; with
    ``duplicates='first'`` the surviving row is defined.
    """

    def __init__(
        self,
        truncation: int = 3,
        coarse_sampling: str = 'published',
        duplicates: str = 'first',
    ) -> None:
        super().__init__()
        check_choice(
            'coarse_sampling of SurfaceLifting',
            coarse_sampling,
            ('published', 'whole_map'),
        )
        check_choice('duplicates of SurfaceLifting', duplicates, ('first', 'all'))
        if truncation < 0:
            raise ValueError(
                f'truncation of SurfaceLifting must be 0 or more voxels, got '
                f'{truncation}'
            )
        self.truncation = truncation
        self.coarse_sampling = coarse_sampling
        self.duplicates = duplicates

    def forward(
        self,
        encoder_features: Float[Tensor, 'B C _ _'],
        pyramid: Sequence[Float[Tensor, 'B _ _ _']],
        images: Sequence[ViewSegmentation],
        inputs: CameraBatch,
    ) -> SurfaceVoxels:
        """Lift all levels.

        Args:
            encoder_features: Map over the padded image.
            pyramid: Maps over the padded image, coarse to fine, for strides 8, 4, 2.
            images: Depth and class probabilities on the reduced plane, which covers
                the image without padding.
            inputs: Cameras, sizes and grid.
        """
        depth = torch.stack([image.depth for image in images])
        probs = torch.stack([image.panoptic.class_probs for image in images])
        fine = self._lift_fine(encoder_features, probs, depth, inputs)
        coarse = tuple(
            self._lift_coarse(level, depth, inputs, stride=2 ** (i + 1))
            for i, level in enumerate(reversed(pyramid))
        )
        return SurfaceVoxels(fine, coarse)

    def _lift_fine(
        self,
        encoder_features: Float[Tensor, 'B C _ _'],
        probs: Float[Tensor, 'B L h w'],
        depth: Float[Tensor, 'B h w'],
        inputs: CameraBatch,
    ) -> SparseVoxels:
        columns = _columns(depth, inputs, 1, self.truncation)
        places = _places(depth)
        # Left edges of the pixels are read, not their centres: so were the weights
        # trained.
        appearance = torch.cat(
            (
                _read(encoder_features, places * _image_share(depth, inputs)),
                _read(probs, places.expand(len(depth), -1, -1, -1)),
            ),
            dim=1,
        )
        voxels = self._voxels(columns, 1, len(depth))
        rows = voxels.feats[:, 0]
        offsets = columns.offsets[rows, None].to(appearance.dtype)
        feats = (offsets.sign(), offsets.abs(), _gather(appearance, columns, rows))
        return voxels.with_feats(torch.cat(feats, dim=1))

    def _lift_coarse(
        self,
        features: Float[Tensor, 'B C _ _'],
        depth: Float[Tensor, 'B h w'],
        inputs: CameraBatch,
        stride: int,
    ) -> SparseVoxels:
        height, width = (n // stride for n in depth.shape[-2:])
        depth = depth[:, ::stride, ::stride][:, :height, :width]
        truncation = round(self.truncation / stride)
        columns = _columns(depth, inputs, stride, truncation)
        places = _places(depth)
        if self.coarse_sampling == 'published':
            map_height, map_width = features.shape[-2:]
            share = places.new_tensor(
                (width / (2 * map_width), height / (2 * map_height))
            ).expand(len(depth), 1, 1, 2)
        else:
            share = _image_share(depth, inputs)
        voxels = self._voxels(columns, stride, len(depth))
        appearance = _read(features, places * share)
        return voxels.with_feats(_gather(appearance, columns, voxels.feats[:, 0]))

    def _voxels(self, columns: _Columns, stride: int, batch_size: int) -> SparseVoxels:
        """The voxels that are kept; the one channel is the row in ``columns``."""
        rows = torch.arange(len(columns.coords), device=columns.coords.device)
        voxels = SparseVoxels(columns.coords, rows[:, None], stride, batch_size)
        return merge(voxels) if self.duplicates == 'first' else voxels


def _places(depth: Float[Tensor, 'B h w']) -> Float[Tensor, 'h w 2']:
    """(x, y) of the upper left corner of each pixel in 0..1 of the plane."""
    height, width = depth.shape[-2:]
    y = torch.arange(height, dtype=depth.dtype, device=depth.device) / height
    x = torch.arange(width, dtype=depth.dtype, device=depth.device) / width
    return torch.stack(torch.meshgrid(x, y, indexing='xy'), dim=-1)


def _image_share(
    depth: Float[Tensor, 'B h w'], inputs: CameraBatch
) -> Float[Tensor, 'B 1 1 2']:
    """Which share of the padded image each image takes, as (x, y)."""
    padded_height, padded_width = inputs.padded_size
    shares = [(w / padded_width, h / padded_height) for h, w in inputs.image_sizes]
    return depth.new_tensor(shares)[:, None, None]


def _read(
    maps: Float[Tensor, 'B C _ _'], places: Float[Tensor, 'B h w 2']
) -> Float[Tensor, 'B C h w']:
    # In single precision: half a pixel is lost in less.
    return F.grid_sample(maps.float(), 2 * places.float() - 1, align_corners=False)


def _gather(
    maps: Float[Tensor, 'B C h w'], columns: _Columns, rows: Int[Tensor, ' N']
) -> Float[Tensor, 'N C']:
    """Give each chosen voxel the values of its pixel."""
    per_pixel = len(columns.coords) // max(len(columns.pixels), 1)
    pixels = columns.pixels[rows // max(per_pixel, 1)]
    sample, row, col = pixels.unbind(dim=1)
    return maps.permute(0, 2, 3, 1)[sample, row, col]


def _usable(
    depth: Float[Tensor, 'B h w'], depth_range: tuple[float, float]
) -> tuple[Bool[Tensor, 'B h w'], Float[Tensor, 'B h w']]:
    """Pixels to lift, and their depth; the middle one at depth 0 if there is none."""
    near, far = depth_range
    valid = (depth >= near) & (depth <= far)
    depth = torch.where(valid, depth, 0)
    middle = torch.zeros_like(valid[0])
    middle[depth.shape[1] // 2, depth.shape[2] // 2] = True
    return valid | (middle & ~valid.any(dim=(1, 2), keepdim=True)), depth


def _columns(
    depth: Float[Tensor, 'B h w'],
    inputs: CameraBatch,
    stride: int,
    truncation: int,
) -> _Columns:
    """Find the cells within ``truncation`` cells of the surface, along z."""
    K, grid = inputs.K[:, 0], inputs.grid
    placed = [
        camera_to_grid(K[i], size, grid, stride)
        for i, size in enumerate(inputs.image_sizes)
    ]
    minimum = torch.stack([p.minimum for p in placed])
    # Floored here and not in the occupancy lifting: so were the weights trained.
    padding = torch.stack([p.padding for p in placed]).floor()

    valid, depth = _usable(depth, grid.depth_range)
    pixels = valid.nonzero()
    sample, row, col = pixels.unbind(dim=1)
    sizes = K.new_tensor(inputs.image_sizes)[sample]
    z = depth[sample, row, col].to(K.dtype)
    u = col.to(K.dtype) / depth.shape[2] * sizes[:, 1]
    v = row.to(K.dtype) / depth.shape[1] * sizes[:, 0]
    image_points = torch.stack((u * z, v * z, z), dim=-1)  # M 3
    inverse = torch.linalg.inv(K)[sample]
    points = apply_matrix(inverse, image_points[:, None])[:, 0]
    cells = points / (grid.voxel_size * stride) - minimum[sample]

    reach = torch.arange(-truncation, truncation + 1, device=depth.device)
    offsets = (cells[:, 2] - cells[:, 2].trunc())[:, None] + reach  # M K
    cells = (cells + padding[sample])[:, None].repeat(1, len(reach), 1)  # M K 3
    cells[..., 2] += reach
    sample = sample[:, None, None].expand(-1, len(reach), 1)
    coords = torch.cat((sample, cells.floor().long()), dim=-1).int()
    return _Columns(coords.flatten(0, 1), offsets.flatten(), pixels)
