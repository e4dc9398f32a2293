"""The frustum decoder against the recorded numbers, with its intermediates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden import golden_files, load
from torch.testing import assert_close

from mmp3d.sparse import SparseVoxels, fuse, merge, to_dense
from projects.NvPanoptix3D.nvpanoptix3d.checkpoint_keys import to_ours
from projects.NvPanoptix3D.nvpanoptix3d.frustum_decoder import FrustumDecoder

INTERMEDIATE = '_intermediates'
WHOLE = [
    parameter
    for parameter in golden_files('H_decoder*.npz')
    if parameter.values[0] is None or INTERMEDIATE not in parameter.values[0].stem
]
# Their numbers of levels, our strides.
ENCODERS = {0: 2, 1: 4, 2: 8, 3: 16, 4: 32}
DECODERS = {0: 1, 1: 2, 2: 4, 3: 8, 4: 16}


def voxels_of(arrays, name, stride, batch_size):
    coords = torch.from_numpy(arrays[f'{name}coords'].astype(np.int32))
    feats = torch.from_numpy(arrays[f'{name}feats'])
    return merge(SparseVoxels(coords, feats, stride, batch_size))


def build(golden):
    meta = golden.meta
    coarse = golden.inputs.get('multi_scale_0/feats')
    decoder = FrustumDecoder(
        in_channels=meta['input_dims'],
        coarse_channels=None if coarse is None else coarse.shape[1],
        query_dim=golden.inputs['queries'].shape[-1],
        base_channels=meta['unet_features'],
        output_channels=meta['unet_output_channels'],
        norm=meta['instance_norm'],
        truncation=meta['truncation'],
    )
    state = to_ours({f'completion.{k}': v for k, v in golden.weights.items()})
    assert not state.unknown and not state.dropped
    prefix = 'frustum_branch.decoder.'
    decoder.load_state_dict(
        {k.removeprefix(prefix): v for k, v in state.state.items()}, strict=True
    )
    return decoder


def run(decoder, golden, with_coarse_masks=True):
    batch_size = golden.meta['batch_size']
    fine = fuse(voxels_of(golden.inputs, '', 1, batch_size)).without_zero_rows()
    pyramid = [
        fuse(voxels_of(golden.inputs, f'multi_scale_{i}/', 2 ** (i + 1), batch_size))
        for i in range(3)
        if f'multi_scale_{i}/coords' in golden.inputs
    ]
    mask = golden.tensor('frustum_mask_64')[:, 0]
    for axis in (1, 2, 3):
        mask = mask.repeat_interleave(4, dim=axis)
    queries = golden.tensor('queries')
    with torch.no_grad():
        return decoder.decode(fine, pyramid, queries, mask, with_coarse_masks)


def assert_close_to_scale(got, want):
    """1e-3 of the largest finite value, as the fixtures' manifest says."""
    finite = want.isfinite()
    assert torch.equal(got.isfinite(), finite)
    scale = float(want[finite].abs().max())
    assert_close(got[finite], want[finite], rtol=0, atol=1e-3 * scale)


def assert_same(got, arrays, name):
    if f'{name}/coords' not in arrays:
        assert_close_to_scale(got, torch.from_numpy(arrays[name]))
        return
    want = voxels_of(arrays, f'{name}/', got.stride, got.batch_size)
    assert arrays[f'{name}/tensor_stride'].tolist() == [got.stride] * 3
    assert torch.equal(got.coords.int(), want.coords)
    assert_close_to_scale(got.feats, want.feats)


@pytest.mark.parametrize('path', WHOLE)
def test_predictions(path):
    golden = load(path)
    got = run(build(golden), golden)
    samples = got.mask_features_1.coords[:, 0].long()
    mask_logits_1 = got.mask_features_1.with_feats(
        torch.einsum(
            'nc,nqc->nq', got.mask_features_1.feats, got.mask_queries_1[samples]
        )
    )
    for name, ours in (
        ('occupancy_64', got.occupancy_logits_4),
        ('segm_64', got.mask_logits_4),
        ('occupancy_128', got.occupancy_logits_2),
        ('segm_128', got.mask_logits_2),
        ('occupancy_256', got.occupancy_logits_1),
        ('segm_256', mask_logits_1),
        ('geometry', got.tudf),
    ):
        assert_same(ours, golden.outputs, name)


@pytest.mark.parametrize('path', WHOLE)
def test_coarse_masks_change_nothing_else(path):
    golden = load(path)
    decoder = build(golden)
    with_masks, without = run(decoder, golden), run(decoder, golden, False)
    assert without.mask_logits_4 is None and without.mask_logits_2 is None
    assert torch.equal(with_masks.tudf.coords, without.tudf.coords)
    assert torch.equal(with_masks.tudf.feats, without.tudf.feats)


@pytest.mark.parametrize('path', golden_files(f'H_decoder*{INTERMEDIATE}.npz'))
def test_intermediates(path):
    golden = load(path)
    whole = load(path.with_name(path.name.replace(INTERMEDIATE, '')))
    decoder = build(whole)
    modules = {f'input_encoder_{i}': m for i, m in enumerate(decoder.input_encoders)}
    for theirs, ours, strides in (
        ('level_encoder', decoder.encoders, ENCODERS),
        ('feature_adapter', decoder.coarse_adapters, ENCODERS),
        ('level_decoder', decoder.decoders, DECODERS),
    ):
        for level, stride in strides.items():
            if f'stride_{stride}' in ours:
                modules[f'{theirs}_{level}'] = ours[f'stride_{stride}']
    seen = {}
    for name, module in modules.items():
        module.register_forward_hook(
            lambda _, args, output, name=name: seen.__setitem__(name, output)
        )
    run(decoder, whole)
    names = {
        name.removesuffix('/coords').removesuffix('/feats')
        for name in golden.outputs
        if not name.endswith('tensor_stride')
    }
    assert names
    for name in sorted(names):
        got = seen[name]
        want = golden.outputs.get(name)
        if want is not None and isinstance(got, SparseVoxels):
            # Recorded after it was written into a dense grid.
            got = to_dense(got, want.shape[2:])
        assert_same(got, golden.outputs, name)
