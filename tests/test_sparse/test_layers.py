"""Sparse layers against their definition, dense convolutions and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from mmp3d.sparse import (
    GenerativeUpConv3d,
    SparseConv3d,
    SparseLinear,
    SparseMaxPool3d,
    SparseNorm,
    SparseReLU,
    SparseVoxels,
    SubMConv3d,
    fuse,
    merge,
    multiply_queries,
    prune,
    reference,
    to_dense,
)
from mmp3d.sparse.kernel_maps import downward_map, submanifold_map, upward_map


def random_voxels(count=150, span=5, channels=3, batch_size=2, stride=2, low=None):
    low = -span if low is None else low
    coords = torch.randint(low, span, (count, 4), dtype=torch.int32)
    coords[:, 0] = torch.randint(0, batch_size, (count,))
    feats = torch.randn(count, channels)
    return merge(SparseVoxels(coords, feats, stride, batch_size))


def assert_same(got, want):
    assert torch.equal(got.coords.long(), want.coords.long())
    assert_close(got.feats, want.feats, rtol=1e-5, atol=1e-5)
    assert got.stride == want.stride


def test_submanifold_convolution_is_its_definition():
    voxels, layer = random_voxels(), SubMConv3d(3, 5)
    want = reference.convolution(voxels, layer.weight, stride=1)
    assert_same(layer(voxels), want.with_feats(want.feats + layer.bias))


@pytest.mark.parametrize('size', [3, 4])
def test_strided_convolution_is_its_definition(size):
    voxels, layer = random_voxels(), SparseConv3d(3, 5, size)
    want = reference.convolution(voxels, layer.weight, stride=2)
    assert_same(layer(voxels), want.with_feats(want.feats + layer.bias))


def test_up_convolution_is_its_definition():
    voxels, layer = random_voxels(count=30), GenerativeUpConv3d(3, 5, bias=True)
    want = reference.generative_up_convolution(voxels, layer.weight)
    assert_same(layer(voxels), want.with_feats(want.feats + layer.bias))


def test_max_pool_is_its_definition_for_negative_features_too():
    voxels = random_voxels()
    voxels = voxels.with_feats(voxels.feats - 5)
    assert_same(SparseMaxPool3d()(voxels), reference.max_pool(voxels))


@pytest.mark.parametrize('size', [3, 4])
def test_convolutions_of_a_full_grid_are_dense_ones(size):
    x = torch.randn(2, 3, 6, 8, 4)
    coords = torch.ones(2, 6, 8, 4).nonzero()
    voxels = SparseVoxels(coords, x.movedim(1, -1).reshape(-1, 3), 1, 2)
    layer = SparseConv3d(3, 5, size, bias=False)
    weight = layer.weight.unflatten(0, (size, size, size)).permute(4, 3, 0, 1, 2)
    # Size 3 reads 2o - 1 ... 2o + 1, size 4 reads 2o ... 2o + 3.
    pad = (1, 0) * 3 if size == 3 else (0, 2) * 3
    want = F.conv3d(F.pad(x, pad), weight, stride=2)
    assert_close(to_dense(layer(voxels), (3, 4, 2)), want, rtol=1e-5, atol=1e-5)


def test_up_convolution_of_a_full_grid_is_the_dense_one():
    x = torch.randn(2, 3, 3, 4, 2)
    coords = torch.ones(2, 3, 4, 2).nonzero()
    voxels = SparseVoxels(coords, x.movedim(1, -1).reshape(-1, 3), 2, 2)
    layer = GenerativeUpConv3d(3, 5)
    weight = layer.weight.unflatten(0, (4, 4, 4)).permute(3, 4, 0, 1, 2)
    want = F.conv_transpose3d(x, weight, stride=2)
    assert_close(to_dense(layer(voxels), (8, 10, 6)), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    'layer',
    [
        SubMConv3d(3, 2),
        SparseConv3d(3, 2, 3),
        SparseConv3d(3, 2, 4),
        GenerativeUpConv3d(3, 2, bias=True),
        SparseLinear(3, 2),
        SparseMaxPool3d(),
        SparseNorm('per_instance'),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_gradients(layer):
    layer = layer.double()
    voxels = random_voxels(count=12, span=2)
    parameters = dict(layer.named_parameters())

    def run(feats, *values):
        state = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(
            layer, state, (voxels.with_feats(feats),)
        ).feats

    inputs = [voxels.feats.double(), *(p.detach() for p in parameters.values())]
    inputs = [i.requires_grad_() for i in inputs]
    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)


@pytest.mark.parametrize('frozen_input', [True, False])
@pytest.mark.parametrize('channels', [(2, 7), (7, 2)])
def test_weight_gradient_does_not_depend_on_who_else_needs_one(channels, frozen_input):
    voxels = random_voxels(channels=channels[0])
    for layer in (SubMConv3d(*channels), SparseConv3d(*channels, kernel_size=3)):
        grads = []
        for needs_grad in (not frozen_input, True):
            layer.zero_grad()
            feats = voxels.feats.clone().requires_grad_(needs_grad)
            layer(voxels.with_feats(feats)).feats.square().sum().backward()
            grads.append(layer.weight.grad.clone())
        assert_close(*grads, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    'build',
    [
        lambda: SubMConv3d(3, 5),
        lambda: SparseConv3d(3, 5, 4),
        lambda: GenerativeUpConv3d(3, 5),
        lambda: SparseNorm('per_instance'),
        lambda: SparseMaxPool3d(),
    ],
)
def test_batched_is_one_by_one(build):
    layer, voxels = build(), random_voxels(batch_size=3)
    together = layer(voxels)
    for sample in range(3):
        alone = layer(prune(voxels, voxels.coords[:, 0] == sample))
        rows = together.coords[:, 0] == sample
        assert torch.equal(together.coords[rows], alone.coords)
        assert_close(together.feats[rows], alone.feats, rtol=1e-5, atol=1e-6)


def test_norm_of_voxels_is_a_layer_norm():
    voxels = random_voxels(channels=6)
    got = SparseNorm('per_voxel')(voxels).feats
    assert_close(got, F.layer_norm(voxels.feats, (6,)), rtol=0, atol=1e-6)


def test_norm_of_instances_is_its_definition_with_a_single_voxel_too():
    voxels = random_voxels(channels=6)
    assert_same(SparseNorm('per_instance')(voxels), reference.instance_norm(voxels))
    single = SparseVoxels(torch.zeros(1, 4).int(), torch.ones(1, 6), 1, 1)
    assert SparseNorm('per_instance')(single).feats.eq(0).all()


def test_relu_and_queries():
    coords = torch.tensor([[0, 0, 0, 0], [2, 0, 0, 0], [2, 1, 0, 0]])
    feats = torch.tensor([[1.0, -2.0], [3.0, 4.0], [-5.0, 6.0]])
    voxels = SparseVoxels(coords, feats, 1, 3)
    assert SparseReLU()(voxels).feats.tolist() == [[1, 0], [3, 4], [0, 6]]
    queries = torch.tensor([[[1.0, 1.0]], [[9.0, 9.0]], [[1.0, 0.0]]])
    assert multiply_queries(voxels, queries).feats.tolist() == [[-1], [3], [-5]]


def test_maps_are_shared_by_one_set_only():
    voxels = random_voxels()
    assert submanifold_map(voxels.cells) is submanifold_map(
        SubMConv3d(3, 3)(voxels).cells
    )
    # Same number of rows, other cells: another map.
    moved = SparseVoxels(voxels.coords + torch.tensor([0, 0, 0, 1]), voxels.feats, 2, 2)
    assert downward_map(voxels.cells, 3) is not downward_map(moved.cells, 3)
    assert upward_map(voxels.cells)[0] is upward_map(voxels.cells)[0]


def test_fused_voxels_need_not_be_written_out():
    surface = random_voxels(count=40, channels=4, stride=1)
    lifted = random_voxels(count=200, channels=2, stride=1)
    fused = fuse(surface, lifted)
    assert fused.num_channels == 6
    for layer in (SubMConv3d(6, 5), SparseLinear(6, 5)):
        assert_same(layer(fused), layer(fused.written_out()))
    groups = fused.split([1, 4, 1])
    for group, columns in zip(groups, [(0, 1), (1, 5), (5, 6)], strict=True):
        want = fused.written_out().feats[:, slice(*columns)]
        assert torch.equal(group.written_out().feats, want)


def test_zero_rows_of_fused_voxels_can_be_dropped():
    written = fuse(
        random_voxels(count=40, channels=4), random_voxels(count=200, channels=2)
    ).written_out()
    layer = SubMConv3d(4, 5)
    group = fuse(written).split([4, 2])[0]
    dropped = group.without_zero_rows()
    assert len(dropped.parts[0]) < len(group.parts[0])
    assert_same(layer(dropped), layer(group))


def test_fused_gradients_agree():
    surface = random_voxels(count=40, channels=4)
    lifted = random_voxels(count=200, channels=2)
    layer = SubMConv3d(6, 5)
    grads = []
    for write in (False, True):
        parts = [
            p.with_feats(p.feats.clone().requires_grad_()) for p in (surface, lifted)
        ]
        fused = fuse(*parts)
        layer.zero_grad()
        out = layer(fused.written_out() if write else fused)
        (out.feats * torch.arange(5.0)).square().sum().backward()
        grads.append([layer.weight.grad.clone(), *(p.feats.grad for p in parts)])
    for lean, dense in zip(*grads, strict=True):
        assert_close(lean, dense, rtol=1e-4, atol=1e-4)


def test_wrong_channels_and_strides_of_fused_voxels():
    a = random_voxels(channels=4)
    with pytest.raises(ValueError, match=r'channels \(3, 2\) were expected, 5 in all'):
        fuse(a).split([3, 2])
    with pytest.raises(ValueError, match=r'one stride were expected, got \[1, 2\]'):
        fuse(a, random_voxels(stride=1))


@pytest.mark.parametrize(
    'layer',
    [
        SubMConv3d(3, 5),
        SparseConv3d(3, 5, 3),
        SparseConv3d(3, 5, 4),
        GenerativeUpConv3d(3, 5),
        SparseLinear(3, 5),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_no_voxel_gives_no_voxel_and_zero_gradients(layer):
    nothing = SparseVoxels(torch.zeros(0, 4).int(), torch.zeros(0, 3), 2, 2)
    out = layer(nothing)
    assert out.feats.shape == (0, 5)
    out.feats.sum().backward()
    assert layer.weight.grad.eq(0).all()
    assert len(SparseMaxPool3d()(nothing)) == 0
    assert SparseNorm('per_instance')(nothing).feats.shape == (0, 3)


def test_half_precision_and_autocast():
    voxels, layer = random_voxels(), SubMConv3d(3, 5)
    want = layer(voxels).feats
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert_close(layer(voxels).feats, want)
    half = layer.bfloat16()(voxels.map(torch.Tensor.bfloat16)).feats
    assert half.dtype == torch.bfloat16
    # bfloat16 has eight bits of mantissa.
    assert_close(half.float(), want, rtol=0.05, atol=0.05)


def test_weights_are_drawn_within_their_bounds():
    layer = SparseConv3d(5, 7, 4)
    bound = 1 / math.sqrt(64 * 5)
    assert 0.9 * bound < layer.weight.abs().max() <= bound
    assert layer.bias.abs().max() <= bound
    up = GenerativeUpConv3d(5, 7)
    bound = 1 / math.sqrt(64 * 7)
    assert 0.9 * bound < up.weight.abs().max() <= bound


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match='norm of sparse voxels must be one of'):
        SparseNorm('batch')
    with pytest.raises(ValueError, match='kernel_size of SparseConv3d must be one of'):
        SparseConv3d(3, 5, 5)
