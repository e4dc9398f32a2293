"""Every sparse operator as its definition reads: the truth in tests.

Compares every output cell with every input cell, so only for small sets. Nothing here
uses kernel maps, keys or backends.
"""

from __future__ import annotations

from itertools import product

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmp3d.sparse.voxels import SparseVoxels


def _offsets(kernel_size: int) -> list[tuple[int, int, int]]:
    first = -1 if kernel_size == 3 else 0
    return list(product(range(first, first + kernel_size), repeat=3))


def _shifted(coords: Tensor, scale: int, offset: tuple[int, int, int]) -> Tensor:
    shift = torch.tensor([0, *offset])
    return coords.long() * torch.tensor([1, scale, scale, scale]) + shift


def _meetings(a: Int[Tensor, 'N 4'], b: Int[Tensor, 'M 4']) -> Float[Tensor, 'N M']:
    """1 where a row of ``a`` is the same cell as a row of ``b``."""
    return (a[:, None] == b[None].long()).all(dim=2).float()


def _coarser(coords: Tensor) -> Tensor:
    halves = torch.cat([coords[:, :1], coords[:, 1:] >> 1], dim=1)
    return torch.unique(halves, dim=0)


def convolution(
    voxels: SparseVoxels, weight: Float[Tensor, 'T C D'], stride: int
) -> SparseVoxels:
    """Convolution of stride 1 (same cells) or 2 (distinct ``floor(c / 2)``)."""
    outputs = voxels.coords if stride == 1 else _coarser(voxels.coords)
    size = round(len(weight) ** (1 / 3))
    feats = torch.zeros(len(outputs), weight.shape[2])
    for offset, matrix in zip(_offsets(size), weight, strict=True):
        wanted = _shifted(outputs, stride, offset)
        feats = feats + _meetings(wanted, voxels.coords) @ (voxels.feats @ matrix)
    return SparseVoxels(outputs, feats, stride * voxels.stride, voxels.batch_size)


def generative_up_convolution(
    voxels: SparseVoxels, weight: Float[Tensor, 'T C D']
) -> SparseVoxels:
    """Transposed convolution of size 4 and stride 2 that creates its cells."""
    written = [_shifted(voxels.coords, 2, offset) for offset in _offsets(4)]
    outputs = torch.unique(torch.cat(written), dim=0)
    feats = torch.zeros(len(outputs), weight.shape[2])
    for cells, matrix in zip(written, weight, strict=True):
        feats = feats + _meetings(outputs, cells) @ (voxels.feats @ matrix)
    return SparseVoxels(outputs, feats, voxels.stride // 2, voxels.batch_size)


def max_pool(voxels: SparseVoxels) -> SparseVoxels:
    """Largest existing value among 2o - 1 ... 2o + 1."""
    outputs = _coarser(voxels.coords)
    distance = voxels.coords[None] - _shifted(outputs, 2, (0, 0, 0))[:, None]
    near = (distance.abs() <= torch.tensor([0, 1, 1, 1])).all(dim=2)
    rows = [voxels.feats[window].amax(dim=0) for window in near]
    return SparseVoxels(
        outputs, torch.stack(rows), 2 * voxels.stride, voxels.batch_size
    )


def instance_norm(voxels: SparseVoxels, eps: float = 1e-5) -> SparseVoxels:
    """Normalise every channel over the voxels of one sample."""
    feats = voxels.feats.clone()
    for sample in range(voxels.batch_size):
        rows = voxels.coords[:, 0] == sample
        x = voxels.feats[rows]
        feats[rows] = (x - x.mean(0)) / (x.var(0, correction=0) + eps).sqrt()
    return voxels.with_feats(feats)
