"""Both backends give the same numbers, forward and backward."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from mmp3d.sparse import (
    GenerativeUpConv3d,
    SparseConv3d,
    SparseVoxels,
    SubMConv3d,
    available_backends,
    current_backend,
    fuse,
    merge,
    set_backend,
    use_backend,
)
from mmp3d.sparse.backends import spconv_backend

needs_spconv = pytest.mark.skipif(
    'spconv' not in available_backends(),
    reason='spconv is not installed; pip install spconv-cu120',
)


def random_voxels(count=300, channels=6, seed=0):
    torch.manual_seed(seed)
    coords = torch.randint(-7, 6, (count, 4), dtype=torch.int32)
    coords[:, 0] = torch.randint(0, 3, (count,))
    coords = coords[coords[:, 0] != 1]  # sample 1 is empty
    return merge(SparseVoxels(coords, torch.randn(len(coords), channels), 2, 3))


def run(layer, voxels, backend):
    layer.zero_grad()
    feats = voxels.feats.clone().requires_grad_()
    with use_backend(backend):
        out = layer(voxels.with_feats(feats))
        (
            out.feats * torch.linspace(-1, 2, out.feats.shape[1])
        ).square().sum().backward()
    return out, [out.feats, feats.grad, *(p.grad.clone() for p in layer.parameters())]


BUILDERS = {
    'submanifold': lambda: SubMConv3d(6, 4),
    'down3': lambda: SparseConv3d(6, 4, 3),
    'down4': lambda: SparseConv3d(6, 4, 4, bias=False),
    'up4': lambda: GenerativeUpConv3d(6, 4),
}


@needs_spconv
@pytest.mark.backend
@pytest.mark.parametrize('build', BUILDERS.values(), ids=BUILDERS)
def test_spconv_equals_torch(build):
    layer, voxels = build(), random_voxels()
    for training in (True, False):
        layer.train(training)
        truth, numbers = run(layer, voxels, 'torch')
        got, others = run(layer, voxels, 'spconv')
        assert torch.equal(got.coords, truth.coords)
        for theirs, ours in zip(others, numbers, strict=True):
            assert_close(theirs, ours, rtol=1e-4, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
@pytest.mark.parametrize('backend', available_backends())
@pytest.mark.parametrize('build', BUILDERS.values(), ids=BUILDERS)
def test_cuda_equals_cpu(build, backend):
    layer, voxels = build(), random_voxels()
    truth, numbers = run(layer, voxels, 'torch')
    on_gpu = SparseVoxels(voxels.coords.cuda(), voxels.feats.cuda(), 2, 3)
    got, others = run(layer.cuda(), on_gpu, backend)
    assert torch.equal(got.coords.cpu(), truth.coords)
    for theirs, ours in zip(others, numbers, strict=True):
        # Tensor cores may round to TF32.
        assert_close(theirs.cpu(), ours, rtol=1e-2, atol=1e-2)


@needs_spconv
@pytest.mark.backend
def test_spconv_reads_fused_voxels_too():
    fused = fuse(random_voxels(40, 4), random_voxels(300, 2, seed=1))
    layer = SubMConv3d(6, 4)
    with use_backend('spconv'):
        got = layer(fused)
    with use_backend('torch'):
        assert_close(got.feats, layer(fused).feats, rtol=1e-4, atol=1e-5)


@needs_spconv
@pytest.mark.backend
def test_spconv_gives_nothing_for_nothing_and_leaves_the_threads_alone():
    threads = torch.get_num_threads()
    nothing = SparseVoxels(torch.zeros(0, 4).int(), torch.zeros(0, 6), 2, 3)
    with use_backend('spconv'):
        assert SparseConv3d(6, 4, 3)(nothing).feats.shape == (0, 4)
        half = random_voxels().map(torch.Tensor.bfloat16)
        assert SubMConv3d(6, 4).bfloat16()(half).feats.dtype == torch.bfloat16
    assert torch.get_num_threads() == threads


def test_the_choice_ends_with_the_block():
    assert current_backend() == 'auto'
    with pytest.raises(RuntimeError, match='inside'), use_backend('torch'):
        assert current_backend() == 'torch'
        raise RuntimeError('inside')
    assert current_backend() == 'auto'


def test_wrong_choices(monkeypatch):
    with pytest.raises(ValueError, match=r"must be one of .*'spconv'"):
        set_backend('spcnv')
    monkeypatch.setattr(spconv_backend, 'is_installed', lambda: False)
    assert available_backends() == ('torch',)
    with pytest.raises(ImportError, match='install spconv-cu120'):
        set_backend('spconv')
