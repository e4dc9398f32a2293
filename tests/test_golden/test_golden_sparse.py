"""Sparse operators, pooling and fusion against the recorded numbers."""

from __future__ import annotations

from itertools import takewhile

import numpy as np
import pytest
import torch
from golden import golden_files, load
from torch.testing import assert_close

from mmp3d.sparse import (
    GenerativeUpConv3d,
    SparseConv3d,
    SparseLinear,
    SparseMaxPool3d,
    SparseNorm,
    SparseVoxels,
    SubMConv3d,
    concatenate,
    fuse,
    merge,
    to_dense,
)
from projects.NvPanoptix3D.nvpanoptix3d.checkpoint_keys import to_ours
from projects.NvPanoptix3D.nvpanoptix3d.residual_blocks import SparseResidualBlock


def voxels_of(arrays, name, stride, batch_size):
    coords = torch.from_numpy(arrays[f'{name}coords'].astype(np.int32))
    feats = torch.from_numpy(arrays[f'{name}feats'])
    return SparseVoxels(coords, feats, stride, batch_size)


def assert_same(got, arrays, name, tolerance=1e-5):
    want = merge(voxels_of(arrays, f'{name}/', got.stride, got.batch_size))
    assert torch.equal(got.coords.int(), want.coords)
    assert_close(got.feats, want.feats, rtol=tolerance, atol=tolerance)
    if f'{name}/tensor_stride' in arrays:
        assert arrays[f'{name}/tensor_stride'].tolist() == [got.stride] * 3


def load_weights(layer, weights, published, prefix):
    """Rename a published part as part of a real checkpoint and load all of it."""
    state = {
        f'completion.{published}{k.removeprefix(prefix)}': v
        for k, v in weights.items()
        if k.startswith(prefix)
    }
    converted = to_ours(state)
    assert not converted.unknown
    names = [name.split('.') for name in converted.state]
    shared = takewhile(lambda part: len(set(part)) == 1, zip(*names, strict=False))
    depth = min(len(list(shared)), min(map(len, names)) - 1)
    stem = '.'.join([*names[0][:depth], ''])
    layer.load_state_dict({k.removeprefix(stem): v for k, v in converted.state.items()})
    return layer


OPERATORS = {
    'conv_k1': (lambda i, o: SparseLinear(i, o), 'input_encoders.0.downsample.0.'),
    'conv_k3_s1': (lambda i, o: SubMConv3d(i, o), 'geometry_head.3.'),
    'conv_k3_s2': (
        lambda i, o: SparseConv3d(i, o, 3, bias=False),
        'level_encoders.0.0.conv1.',
    ),
    'conv_k4_s2': (
        lambda i, o: SparseConv3d(i, o, 4),
        'level_encoders.0.0.downsample.0.',
    ),
    'deconv_k4_s2_generative': (
        lambda i, o: GenerativeUpConv3d(i, o),
        'level_decoders.0.0.',
    ),
}


@pytest.mark.parametrize('operator', OPERATORS)
@pytest.mark.parametrize('path', golden_files('H_sparse_ops*.npz'))
def test_operator(path, operator):
    golden = load(path)
    build, published = OPERATORS[operator]
    layer = build(golden.meta['in_channels'], golden.meta['out_channels'])
    load_weights(layer, golden.weights, published, f'{operator}.')
    stride = 2 if operator.startswith('deconv') else 1
    voxels = voxels_of(golden.inputs, '', stride, golden.meta['batch_size'])
    assert_same(layer(merge(voxels)), golden.outputs, operator)


@pytest.mark.parametrize('norm', ['per_voxel', 'per_instance'])
@pytest.mark.parametrize('path', golden_files('H_sparse_ops*.npz'))
def test_norm_and_strided_block(path, norm):
    golden = load(path)
    batch_size = golden.meta['batch_size']
    voxels = merge(voxels_of(golden.inputs, '', 1, batch_size))
    rows = golden.tensor(f'norm_feats_{norm}')
    original = voxels_of(golden.inputs, '', 1, batch_size).with_feats(rows)
    got = SparseNorm(norm)(merge(original))
    assert_same(got, golden.outputs, f'instance_norm_{norm}')

    out_channels = golden.weights['block.conv2.weight'].shape[2]
    block = SparseResidualBlock(
        golden.meta['in_channels'], out_channels, norm=norm, shortcut='strided'
    )
    load_weights(block, golden.weights, 'level_encoders.0.0.', 'block.')
    assert_same(block(voxels), golden.outputs, f'basic_block_stride2_{norm}')


@pytest.mark.parametrize('path', golden_files('H_sparse_ops*.npz'))
def test_dense(path):
    golden = load(path)
    voxels = voxels_of(golden.inputs, '', 1, golden.meta['batch_size'])
    for name, want in golden.outputs.items():
        if name.startswith('sparse_to_dense'):
            got = to_dense(voxels, want.shape[2:])
            assert torch.equal(got, torch.from_numpy(want))


@pytest.mark.parametrize('path', golden_files('G_multiscale_pool*.npz'))
def test_pooling(path):
    golden = load(path)
    voxels = merge(voxels_of(golden.inputs, '', 1, golden.meta['batch_size']))
    levels = sum(name.endswith('/coords') for name in golden.outputs)
    assert levels
    for level in range(levels):
        voxels = SparseMaxPool3d()(voxels)
        assert_same(voxels, golden.outputs, f'level{level}', tolerance=0)


@pytest.mark.parametrize('path', golden_files('G_fuse*.npz'))
def test_fusion(path):
    golden = load(path)
    batch_size = golden.meta['batch_size']
    a, b = (
        merge(
            SparseVoxels(
                golden.tensor(f'coords{i}'), golden.tensor(f'feats{i}'), 1, batch_size
            )
        )
        for i in (1, 2)
    )
    want = merge(voxels_of(golden.outputs, '', 1, batch_size))
    for got in (concatenate(a, b), fuse(a, b).written_out()):
        assert torch.equal(got.coords.int(), want.coords)
        assert torch.equal(got.feats, want.feats)
