"""Residual blocks of the frustum decoder, on sparse voxels and on dense grids."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mmp3d.sparse import (
    FusedVoxels,
    SparseConv3d,
    SparseLinear,
    SparseNorm,
    SparseVoxels,
    SubMConv3d,
)
from mmp3d.utils import check_choice


class SparseResidualBlock(nn.Module):
    """Two sparse convolutions of size 3, each normalised, beside a shortcut.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        norm: ``per_voxel`` or ``per_instance``; see ``SparseNorm``.
        shortcut: ``identity``; ``linear``: same cells, other channels; ``strided``: the
            block halves the resolution.

    Source: Uni-3D (Zhang et al. 2023), sparse 3D decoder, after Panoptic 3D scene
        reconstruction (Dahnert et al. 2021).
    """

    def __init__(
        self, in_channels: int, out_channels: int, norm: str, shortcut: str = 'identity'
    ) -> None:
        super().__init__()
        check_choice('shortcut', shortcut, ('identity', 'linear', 'strided'))
        if shortcut == 'strided':
            self.conv1 = SparseConv3d(in_channels, out_channels, 3, bias=False)
            projection = SparseConv3d(in_channels, out_channels, 4)
        else:
            self.conv1 = SubMConv3d(in_channels, out_channels, bias=False)
            projection = SparseLinear(in_channels, out_channels)
        self.conv2 = SubMConv3d(out_channels, out_channels, bias=False)
        self.norm = SparseNorm(norm)
        self.shortcut = nn.Identity()
        if shortcut != 'identity':
            self.shortcut = nn.Sequential(projection, SparseNorm(norm))

    def forward(self, voxels: SparseVoxels | FusedVoxels) -> SparseVoxels:
        """Transform voxels; an ``identity`` block takes no fused ones."""
        out = self.norm(self.conv1(voxels)).map(F.relu)
        out = self.norm(self.conv2(out))
        return out.with_feats(F.relu(out.feats + self.shortcut(voxels).feats))


class DenseResidualBlock(nn.Module):
    """The same on a dense grid, with ordinary instance norm.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        strided: Whether the block halves the resolution; its shortcut is a convolution
            without norm then, else the identity.
    """

    def __init__(
        self, in_channels: int, out_channels: int, strided: bool = False
    ) -> None:
        super().__init__()
        stride = 2 if strided else 1
        self.conv1 = nn.Conv3d(
            in_channels, out_channels, 3, stride=stride, padding=1, bias=False
        )
        self.conv2 = nn.Conv3d(out_channels, out_channels, 3, padding=1, bias=False)
        self.shortcut = nn.Identity()
        if strided:
            self.shortcut = nn.Conv3d(
                in_channels, out_channels, 4, stride=2, padding=1, bias=False
            )

    def forward(self, x: Float[Tensor, 'B C X Y Z']) -> Float[Tensor, 'B D X2 Y2 Z2']:
        """Transform a grid."""
        out = F.relu(F.instance_norm(self.conv1(x)))
        out = F.instance_norm(self.conv2(out))
        return F.relu(out + self.shortcut(x))
