"""Layers on sparse voxels.

Weights are ``(taps, in, out)`` with x slowest among the taps, whatever the backend. All
layers give and, where not said otherwise, ask for voxels in canonical order.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mmp3d.sparse.backends import convolve
from mmp3d.sparse.fused import FusedVoxels, as_fused, weight_slices
from mmp3d.sparse.kernel_maps import downward_map, subset_map, upward_map
from mmp3d.sparse.voxels import SparseVoxels, on_cells, per_sample
from mmp3d.utils import check_choice

NORMS = ('per_voxel', 'per_instance')


class _Convolution(nn.Module):
    """Weight and bias of a sparse convolution, and how they are drawn.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Edge of the kernel in cells of the finer side.
        bias: Whether a constant is added to every output voxel.
        transposed: Whether the kernel's fan is counted at the output.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        bias: bool,
        transposed: bool = False,
    ) -> None:
        super().__init__()
        taps = kernel_size**3
        self.kernel_size = kernel_size
        self.weight = nn.Parameter(torch.empty(taps, in_channels, out_channels))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        fan = taps * (out_channels if transposed else in_channels)
        nn.init.uniform_(self.weight, -1 / math.sqrt(fan), 1 / math.sqrt(fan))
        if bias:
            bound = 1 / math.sqrt(taps * in_channels)
            nn.init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        _, in_channels, out_channels = self.weight.shape
        return f'{in_channels}, {out_channels}, kernel_size={self.kernel_size}'

    def _with_bias(self, feats: Float[Tensor, 'N C']) -> Float[Tensor, 'N C']:
        return feats if self.bias is None else feats + self.bias.to(feats.dtype)


class SubMConv3d(_Convolution):
    """Convolution of size 3 whose output cells are its input cells.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        bias: Whether a constant is added to every voxel.
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, 3, bias)

    def forward(self, voxels: SparseVoxels | FusedVoxels) -> SparseVoxels:
        """Convolve; of fused voxels only the parts' own rows are read."""
        voxels = as_fused(voxels)
        pieces = [
            convolve(part.feats, weight, subset_map(part.cells, voxels.cells))
            for part, weight in zip(
                voxels.parts, weight_slices(voxels, self.weight), strict=True
            )
        ]
        feats = self._with_bias(sum(pieces[1:], pieces[0]))
        return on_cells(voxels.cells, feats, voxels.stride)


class SparseLinear(nn.Linear):
    """A linear layer of every voxel's features: convolution of size 1.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        bias: Whether a constant is added to every voxel.
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, bias)

    def forward(self, voxels: SparseVoxels | FusedVoxels) -> SparseVoxels:
        """Multiply rows; of fused voxels only the parts' own rows are read."""
        if isinstance(voxels, SparseVoxels):
            return voxels.map(super().forward)
        cells = voxels.cells
        feats = 0
        for part, weight in zip(
            voxels.parts, weight_slices(voxels, self.weight.T), strict=True
        ):
            rows = part.feats @ weight
            if part.cells is not cells:
                empty = rows.new_zeros(len(cells), rows.shape[1])
                rows = empty.index_copy(0, part.cells.rows_in(cells), rows)
            feats = feats + rows
        if self.bias is not None:
            feats = feats + self.bias
        return on_cells(cells, feats, voxels.stride)


class SparseConv3d(_Convolution):
    """Convolution of stride 2. Output cells are the distinct ``floor(c / 2)``.

    Output o reads the inputs 2o - 1 ... 2o + 1 for size 3, 2o ... 2o + 3 for size 4.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: 3 or 4.
        bias: Whether a constant is added to every voxel.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, bias: bool = True
    ) -> None:
        check_choice('kernel_size of SparseConv3d', str(kernel_size), ('3', '4'))
        super().__init__(in_channels, out_channels, kernel_size, bias)

    def forward(self, voxels: SparseVoxels) -> SparseVoxels:
        """Convolve onto the next coarser cells."""
        cells = voxels.cells
        kernel_map = downward_map(cells, self.kernel_size)
        feats = self._with_bias(convolve(voxels.feats, self.weight, kernel_map))
        return on_cells(cells.coarser(), feats, 2 * voxels.stride)


class GenerativeUpConv3d(_Convolution):
    """Transposed convolution of size 4, stride 2: creates every cell it reaches.

    Input c writes to 2c ... 2c + 3 along each axis, beyond the grid too.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        bias: Whether a constant is added to every voxel.
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool = False) -> None:
        super().__init__(in_channels, out_channels, 4, bias, transposed=True)

    def forward(self, voxels: SparseVoxels) -> SparseVoxels:
        """Convolve onto new cells of half the size."""
        cells, kernel_map = upward_map(voxels.cells)
        feats = self._with_bias(convolve(voxels.feats, self.weight, kernel_map))
        return on_cells(cells, feats, voxels.stride // 2)


class SparseMaxPool3d(nn.Module):
    """Largest existing value in the window 2o - 1 ... 2o + 1, stride 2.

    Output cells are the distinct ``floor(c / 2)``.
    """

    def forward(self, voxels: SparseVoxels) -> SparseVoxels:
        """Pool onto the next coarser cells."""
        cells = voxels.cells
        kernel_map = downward_map(cells, 3)
        lowest = voxels.feats.new_full((1, voxels.num_channels), -math.inf)
        rows = torch.cat([voxels.feats, lowest])
        # Tap by tap: no tensor of 27 rows per voxel exists.
        first, *others = kernel_map.by_output.table.unbind(1)
        pooled = rows.index_select(0, first)
        for column in others:
            pooled = torch.maximum(pooled, rows.index_select(0, column))
        return on_cells(cells.coarser(), pooled, 2 * voxels.stride)


class SparseNorm(nn.Module):
    """Normalisation without parameters.

    Args:
        kind: ``per_voxel``: every voxel over its own channels (what the published
            engine computes under the name of instance norm). ``per_instance``: every
            channel over the voxels of one sample.
        eps: Added to the variance.
    """

    def __init__(self, kind: str = 'per_voxel', eps: float = 1e-5) -> None:
        super().__init__()
        check_choice('norm of sparse voxels', kind, NORMS)
        self.kind = kind
        self.eps = eps

    def extra_repr(self) -> str:
        return self.kind

    def forward(self, voxels: SparseVoxels) -> SparseVoxels:
        """Shift and scale to mean 0 and biased variance 1."""
        if self.kind == 'per_voxel':
            return voxels.with_feats(
                F.layer_norm(voxels.feats, voxels.feats.shape[1:], eps=self.eps)
            )
        samples = [self._over_rows(rows) for rows in per_sample(voxels)]
        return voxels.with_feats(torch.cat(samples))

    def _over_rows(self, rows: Float[Tensor, 'N C']) -> Float[Tensor, 'N C']:
        if not len(rows):
            return rows
        variance, mean = torch.var_mean(rows, dim=0, correction=0)
        return (rows - mean) * torch.rsqrt(variance + self.eps)


class SparseReLU(nn.Module):
    """Rectify every feature."""

    def forward(self, voxels: SparseVoxels) -> SparseVoxels:
        """Replace negative features by zero."""
        return voxels.map(F.relu)


def multiply_queries(
    voxels: SparseVoxels, queries: Float[Tensor, 'B Q C']
) -> SparseVoxels:
    """Give the product of every voxel with its sample's queries, one channel each."""
    rows = [r @ q.T for r, q in zip(per_sample(voxels), queries, strict=True)]
    return voxels.with_feats(torch.cat(rows))
