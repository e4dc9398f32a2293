"""Decode a scene from voxels: a U-Net, sparse where it is fine, dense where coarse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mmp3d.registry import MODELS
from mmp3d.sparse import (
    FusedVoxels,
    GenerativeUpConv3d,
    SparseLinear,
    SparseMaxPool3d,
    SparseNorm,
    SparseReLU,
    SparseVoxels,
    SubMConv3d,
    add,
    clip,
    concatenate,
    from_dense,
    fuse,
    inside,
    merge,
    multiply_queries,
    prune,
    to_dense,
)
from mmp3d.utils import check_positive
from projects.NvPanoptix3D.nvpanoptix3d.residual_blocks import (
    DenseResidualBlock,
    SparseResidualBlock,
)
from projects.NvPanoptix3D.nvpanoptix3d.structures import FrustumPredictions

Dims = tuple[int, int, int]


@dataclass(frozen=True)
class _Encoded:
    """What the sparse encoder leaves for the skips."""

    stride_2: SparseVoxels
    stride_4: SparseVoxels


def coarsen_frustum_mask(
    mask: Bool[Tensor, 'B X Y Z'],
) -> Bool[Tensor, 'B X4 Y4 Z4']:
    """Give the frustum mask at stride 4.

    Looks at the voxels 4i and 4i + 1 of each axis only, as the released weights were
    trained.
    """
    corners = [
        mask[:, x::4, y::4, z::4] for x in (0, 1) for y in (0, 1) for z in (0, 1)
    ]
    return torch.stack(corners).any(dim=0)


def _scaled(dims: Sequence[int], stride: int) -> Dims:
    x, y, z = (n // stride for n in dims)
    return x, y, z


@MODELS.register_module()
class FrustumDecoder(nn.Module):
    """Predict occupancy, query masks and a distance field from lifted voxels.

    The grid comes with the frustum mask of the batch; its dims are multiples of 32,
    64 at least. With F = ``base_channels`` the levels of stride 2, 4, 8, 16 and 32 have
    F, 2F, 4F, 8F and 8F channels.

    Args:
        in_channels: Channel groups of the fused input at stride 1, each encoded on its
            own: (sign, distance), image features, class probabilities, lifted.
        coarse_channels: Channels of the fused inputs at strides 2, 4 and 8;
            ``None``: there are none.
        query_dim: Channels of the queries.
        base_channels: F.
        output_channels: Channels of stride 1.
        norm: Of sparse voxels: ``per_voxel`` (the published engine) or
            ``per_instance`` (Uni-3D).
        truncation: Largest distance that is predicted, in voxels.
        occupancy_threshold: Cells above this probability are refined further.

    Source: NVPanoptix3D, stage 2; Uni-3D, section 3.3.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (2, 512, 13, 16),
        coarse_channels: int | None = 272,
        query_dim: int = 256,
        base_channels: int = 16,
        output_channels: int = 16,
        norm: str = 'per_voxel',
        truncation: float = 3.0,
        occupancy_threshold: float = 0.5,
    ) -> None:
        super().__init__()
        check_positive('truncation', truncation)
        self.in_channels = tuple(in_channels)
        self.truncation = truncation
        self.occupancy_threshold = occupancy_threshold
        f, o = base_channels, output_channels
        skip = {2: f, 4: 2 * f, 8: 4 * f, 16: 8 * f, 32: 8 * f}

        self.input_encoders = nn.ModuleList(
            SparseResidualBlock(c, f, norm, 'linear') for c in self.in_channels
        )
        self.encoders = nn.ModuleDict(
            {
                'stride_2': _sparse_encoder(len(self.in_channels) * f, skip[2], norm),
                'stride_4': _sparse_encoder(skip[2], skip[4], norm),
                'stride_8': _dense_encoder(skip[4], skip[8]),
                'stride_16': _dense_encoder(skip[8], skip[16]),
                'stride_32': _dense_encoder(skip[16], skip[32]),
            }
        )
        self.coarse_adapters = nn.ModuleDict()
        if coarse_channels is not None:
            for stride in (2, 4, 8):
                self.coarse_adapters[f'stride_{stride}'] = SparseResidualBlock(
                    coarse_channels, skip[stride], norm, 'linear'
                )
        self.pool = SparseMaxPool3d()

        # A decoder reads [skip | decoded] of the next coarser level.
        wide_4, wide_2 = 2 * skip[4], skip[2] + 2 * f
        self.decoders = nn.ModuleDict(
            {
                'stride_16': _dense_up(skip[32], skip[16]),
                'stride_8': _dense_up(2 * skip[16], skip[8]),
                'stride_4': _dense_up(2 * skip[8], skip[4]),
                'stride_2': nn.Sequential(
                    GenerativeUpConv3d(skip[4] + wide_4, 2 * f),
                    SparseNorm(norm),
                    SparseReLU(),
                    SparseResidualBlock(2 * f, 2 * f, norm),
                ),
                'stride_1': nn.Sequential(
                    GenerativeUpConv3d(wide_2, o), SparseNorm(norm), SparseReLU()
                ),
            }
        )
        self.occupancy_heads = nn.ModuleDict(
            {
                'stride_4': nn.Linear(wide_4, 1),
                'stride_2': SparseLinear(2 * f, 1),
                'stride_1': _voxel_head(o, norm),
            }
        )
        self.mask_embeddings = nn.ModuleDict(
            {
                'stride_4': nn.Sequential(
                    DenseResidualBlock(wide_4, wide_4),
                    DenseResidualBlock(wide_4, wide_4),
                ),
                'stride_2': SparseResidualBlock(wide_2, wide_2, norm),
                'stride_1': nn.Sequential(
                    SparseNorm(norm), SparseReLU(), SparseResidualBlock(o, o, norm)
                ),
            }
        )
        self.query_projections = nn.ModuleDict(
            {
                'stride_4': nn.Linear(query_dim, wide_4),
                'stride_2': nn.Linear(query_dim, wide_2),
                'stride_1': nn.Linear(query_dim, o),
            }
        )
        self.tudf_head = _voxel_head(o, norm)

    def forward(
        self,
        surface: SparseVoxels,
        lifted: SparseVoxels,
        coarse: Sequence[SparseVoxels],
        queries: Float[Tensor, 'B Q C'],
        frustum_mask: Bool[Tensor, 'B X Y Z'],
        with_coarse_masks: bool = True,
    ) -> FrustumPredictions:
        """Predict from what the two liftings give.

        Args:
            surface: Features around the visible surface, all groups but the last.
            lifted: Features of visible and hidden space, the last group.
            coarse: Surface features at strides 2, 4 and 8; not read where
                ``coarse_channels`` is ``None``.
            queries: Of the view's panoptic head.
            frustum_mask: Voxels inside the frustum; gives the grid's dims.
            with_coarse_masks: Whether to predict the masks of strides 4 and 2, which
                only the losses read.

        Raises:
            ValueError: If channels, levels or grid do not fit.
        """
        surface, lifted = merge(surface), merge(lifted)
        pyramid = []
        if self.coarse_adapters:
            pooled = lifted
            for features in coarse:
                pooled = self.pool(pooled)
                pyramid.append(fuse(merge(features), pooled))
        fine = fuse(surface, lifted)
        return self.decode(fine, pyramid, queries, frustum_mask, with_coarse_masks)

    def decode(
        self,
        fine: FusedVoxels,
        pyramid: Sequence[FusedVoxels],
        queries: Float[Tensor, 'B Q C'],
        frustum_mask: Bool[Tensor, 'B X Y Z'],
        with_coarse_masks: bool = True,
    ) -> FrustumPredictions:
        """Predict from fused voxels; see :meth:`forward`.

        Args:
            fine: All channel groups at stride 1.
            pyramid: Fused inputs at strides 2, 4 and 8, or none.
            queries: Of the view's panoptic head.
            frustum_mask: Voxels inside the frustum; gives the grid's dims.
            with_coarse_masks: Whether to predict the masks of strides 4 and 2.
        """
        self._check(fine, pyramid, frustum_mask)
        dims = tuple(frustum_mask.shape[1:])
        in_frustum = coarsen_frustum_mask(frustum_mask)

        skips = self._encode(fine, pyramid)
        coarsest = pyramid[2] if pyramid else None
        features_4 = self._dense_unet(skips.stride_4, coarsest, dims)
        occupancy_4 = self._dense_occupancy(features_4, in_frustum)
        mask_logits_4 = None
        if with_coarse_masks:
            mask_logits_4 = self._dense_masks(features_4, queries, in_frustum)
        kept_4 = from_dense(features_4, self._is_occupied(occupancy_4), stride=4)

        decoded_2 = self.decoders['stride_2'](concatenate(skips.stride_4, kept_4))
        occupancy_2 = self.occupancy_heads['stride_2'](decoded_2)
        kept_2 = self._prune(decoded_2, occupancy_2, _scaled(dims, 2))
        features_2 = concatenate(skips.stride_2, kept_2)
        mask_logits_2 = None
        if with_coarse_masks:
            mask_logits_2 = self._masks(features_2, queries, _scaled(dims, 2))

        decoded_1 = self.decoders['stride_1'](clip(features_2, _scaled(dims, 2)))
        occupancy_1 = self.occupancy_heads['stride_1'](decoded_1)
        kept_1 = self._prune(decoded_1, occupancy_1, dims)
        tudf = self.tudf_head(kept_1)
        return FrustumPredictions(
            occupancy_logits_4=occupancy_4,
            occupancy_logits_2=clip(occupancy_2, _scaled(dims, 2)),
            occupancy_logits_1=clip(occupancy_1, dims),
            mask_logits_4=mask_logits_4,
            mask_logits_2=mask_logits_2,
            mask_features_1=clip(self.mask_embeddings['stride_1'](kept_1), dims),
            mask_queries_1=self.query_projections['stride_1'](queries),
            tudf=clip(tudf.map(lambda x: x.clamp(0, self.truncation)), dims),
        )

    def _check(
        self, fine: FusedVoxels, pyramid: Sequence[FusedVoxels], frustum_mask: Tensor
    ) -> None:
        dims = tuple(frustum_mask.shape[1:])
        if min(dims) < 64 or any(n % 32 for n in dims):
            raise ValueError(
                f'the grid of FrustumDecoder must have multiples of 32 voxels, 64 at '
                f'least, along each axis, got {dims}; set the grid of the dataset.'
            )
        if fine.cells.batch_size != len(frustum_mask):
            raise ValueError(
                f'voxels of a batch of {len(frustum_mask)} were expected, got '
                f'{fine.cells.batch_size}; lift every sample of the batch.'
            )
        if len(pyramid) != len(self.coarse_adapters):
            raise ValueError(
                f'FrustumDecoder with {len(self.coarse_adapters)} coarse adapters got '
                f'{len(pyramid)} coarse levels; give strides 2, 4 and 8, or set '
                'coarse_channels=None and lift none.'
            )

    def _encode(self, fine: FusedVoxels, pyramid: Sequence[FusedVoxels]) -> _Encoded:
        """Fine voxels -> strides 2 and 4, each joined with its coarse input."""
        groups = [
            encoder(group).feats
            for encoder, group in zip(
                self.input_encoders, fine.split(self.in_channels), strict=True
            )
        ]
        stride_1 = fine.on_all_cells(torch.cat(groups, dim=1))
        stride_2 = self.encoders['stride_2'](stride_1)
        if pyramid:
            stride_2 = add(stride_2, self.coarse_adapters['stride_2'](pyramid[0]))
        stride_4 = self.encoders['stride_4'](stride_2)
        if pyramid:
            stride_4 = add(stride_4, self.coarse_adapters['stride_4'](pyramid[1]))
        return _Encoded(stride_2, stride_4)

    def _dense_unet(
        self, stride_4: SparseVoxels, coarse: FusedVoxels | None, dims: Dims
    ) -> Float[Tensor, 'B C X4 Y4 Z4']:
        """Dense levels of stride 4 ... 32 and back, [skip | decoded] at stride 4."""
        # Always in float32: on a CPU, torch 2.13 fills gradients of bfloat16 3D
        # convolutions of small grids with whatever lies in memory.
        with torch.autocast(stride_4.feats.device.type, enabled=False):
            at_4 = to_dense(stride_4, _scaled(dims, 4)).float()
            at_8 = self.encoders['stride_8'](at_4)
            if coarse is not None:
                adapted = self.coarse_adapters['stride_8'](coarse)
                at_8 = at_8 + to_dense(adapted, _scaled(dims, 8))
            at_16 = self.encoders['stride_16'](at_8)
            at_32 = self.encoders['stride_32'](at_16)
            up = torch.cat([at_16, self.decoders['stride_16'](at_32)], dim=1)
            up = torch.cat([at_8, self.decoders['stride_8'](up)], dim=1)
            return torch.cat([at_4, self.decoders['stride_4'](up)], dim=1)

    def _dense_occupancy(
        self, features: Tensor, in_frustum: Bool[Tensor, 'B X Y Z']
    ) -> Float[Tensor, 'B X Y Z']:
        logits = self.occupancy_heads['stride_4'](features.movedim(1, -1))[..., 0]
        return logits.masked_fill(~in_frustum, -torch.inf)

    def _dense_masks(
        self, features: Tensor, queries: Tensor, in_frustum: Bool[Tensor, 'B X Y Z']
    ) -> Float[Tensor, 'B Q X Y Z']:
        embedding = self.mask_embeddings['stride_4'](features)
        logits = torch.einsum(
            'bqc,bcxyz->bqxyz', self.query_projections['stride_4'](queries), embedding
        )
        return logits.masked_fill(~in_frustum[:, None], -torch.inf)

    def _masks(
        self, features: SparseVoxels, queries: Tensor, dims: Dims
    ) -> SparseVoxels:
        # Embedded before clipping: voxels outside the grid are neighbours too.
        embedding = clip(self.mask_embeddings['stride_2'](features), dims)
        return multiply_queries(embedding, self.query_projections['stride_2'](queries))

    def _is_occupied(self, logits: Tensor) -> Bool[Tensor, '*cells']:
        return logits.sigmoid() > self.occupancy_threshold

    def _prune(
        self, voxels: SparseVoxels, occupancy: SparseVoxels, dims: Dims
    ) -> SparseVoxels:
        """Keep the occupied voxels inside the grid.

        A sample without any keeps all inside the grid, so that it can still learn; one
        without any of those keeps all it has.
        """
        valid = inside(voxels, dims)
        keep = self._is_occupied(occupancy.feats[:, 0]) & valid
        sizes = voxels.cells.sample_sizes
        kept = []
        for own_keep, own_valid in zip(
            keep.split(sizes), valid.split(sizes), strict=True
        ):
            fallback = own_valid | ~own_valid.any()
            kept.append(own_keep | (fallback & ~own_keep.any()))
        return prune(voxels, torch.cat(kept))


def _sparse_encoder(in_channels: int, out_channels: int, norm: str) -> nn.Sequential:
    return nn.Sequential(
        SparseResidualBlock(in_channels, out_channels, norm, 'strided'),
        SparseResidualBlock(out_channels, out_channels, norm),
    )


def _dense_encoder(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        DenseResidualBlock(in_channels, out_channels, strided=True),
        DenseResidualBlock(out_channels, out_channels),
    )


def _dense_up(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose3d(
            in_channels, out_channels, 4, stride=2, padding=1, bias=False
        ),
        nn.InstanceNorm3d(out_channels),
        nn.ReLU(),
    )


def _voxel_head(channels: int, norm: str) -> nn.Sequential:
    """One value per voxel."""
    return nn.Sequential(
        SparseNorm(norm),
        SparseReLU(),
        SparseResidualBlock(channels, channels, norm),
        SubMConv3d(channels, 1),
    )
