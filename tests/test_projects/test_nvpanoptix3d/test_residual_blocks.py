"""Residual blocks: sparse and dense agree where both are defined."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from mmp3d.sparse import SparseVoxels, fuse, to_dense
from projects.NvPanoptix3D.nvpanoptix3d.residual_blocks import (
    DenseResidualBlock,
    SparseResidualBlock,
)


def test_sparse_block_of_a_full_grid_is_the_dense_block():
    dense = DenseResidualBlock(5, 5)
    sparse = SparseResidualBlock(5, 5, norm='per_instance')
    with torch.no_grad():
        for name in ('conv1', 'conv2'):
            kernel = getattr(dense, name).weight.permute(2, 3, 4, 1, 0)
            getattr(sparse, name).weight.copy_(kernel.flatten(0, 2))
    x = torch.randn(2, 5, 3, 4, 6)
    coords = torch.ones(2, 3, 4, 6).nonzero()
    voxels = SparseVoxels(coords, x.movedim(1, -1).reshape(-1, 5), 4, 2)
    got = to_dense(sparse(voxels), (3, 4, 6))
    assert_close(got, dense(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('norm', ['per_voxel', 'per_instance'])
def test_linear_block_reads_fused_voxels_without_writing_them_out(norm):
    coords = torch.cartesian_prod(*map(torch.arange, (2, 4, 5, 6)))
    everywhere = SparseVoxels(coords, torch.randn(len(coords), 2), 1, 2)
    some = torch.rand(len(coords)) < 0.2
    fused = fuse(
        SparseVoxels(coords[some], torch.randn(int(some.sum()), 7), 1, 2), everywhere
    )
    block = SparseResidualBlock(9, 3, norm, 'linear')
    got, want = block(fused), block(fused.written_out())
    assert_close(got.feats, want.feats, rtol=1e-4, atol=1e-5)


def test_strided_blocks_halve_the_resolution():
    coords = torch.tensor([[0, -1, 0, 5], [0, 0, 0, 5], [0, 1, 1, 4]])
    block = SparseResidualBlock(3, 4, 'per_voxel', 'strided')
    out = block(SparseVoxels(coords, torch.randn(3, 3), 1, 1))
    assert out.stride == 2
    assert out.coords.tolist() == [[0, -1, 0, 2], [0, 0, 0, 2]]
    dense = DenseResidualBlock(3, 4, strided=True)
    assert dense(torch.randn(1, 3, 4, 6, 8)).shape == (1, 4, 2, 3, 4)


def test_unknown_shortcut():
    with pytest.raises(ValueError, match='shortcut must be one of'):
        SparseResidualBlock(3, 3, 'per_voxel', 'dense')
