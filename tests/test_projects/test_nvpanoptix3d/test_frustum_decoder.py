"""The frustum decoder: samples, fall-backs, empty inputs, names of its weights."""

from __future__ import annotations

import json
from dataclasses import fields
from math import prod

import pytest
import torch
from golden import FOLDER
from torch.testing import assert_close

from mmp3d.sparse import (
    SparseVoxels,
    available_backends,
    concatenate,
    fuse,
    inside,
    merge,
    prune,
    use_backend,
)
from projects.NvPanoptix3D.nvpanoptix3d.checkpoint_keys import to_ours, to_published
from projects.NvPanoptix3D.nvpanoptix3d.frustum_decoder import (
    FrustumDecoder,
    coarsen_frustum_mask,
)

DIMS = (64, 96, 64)
CHANNELS = (2, 6, 3, 4)
COARSE = 5
QUERIES = 3


def decoder(norm='per_voxel', coarse=True, bias=-0.5):
    """A small decoder that refines few cells."""
    torch.manual_seed(1)
    model = FrustumDecoder(
        in_channels=CHANNELS,
        coarse_channels=COARSE + CHANNELS[3] if coarse else None,
        query_dim=7,
        base_channels=4,
        output_channels=3,
        norm=norm,
    )
    set_occupancy(model, bias)
    return model


def set_occupancy(model, bias):
    heads = model.occupancy_heads
    with torch.no_grad():
        for head in (heads['stride_4'], heads['stride_2'], heads['stride_1'][3]):
            head.bias.fill_(bias)


def cloud(count, channels, stride, batch_size=2):
    """Voxels around the middle of the grid, some samples' cells repeated."""
    coords = torch.randn(count, 4) * 4 / stride + 24 / stride
    coords[:, 0] = torch.randint(0, batch_size, (count,))
    return SparseVoxels(
        coords.floor().int(), torch.randn(count, channels), stride, batch_size
    )


def inputs(batch_size=2, coarse=True):
    torch.manual_seed(0)
    levels = [cloud(60, COARSE, s, batch_size) for s in (2, 4, 8)] if coarse else []
    mask = torch.zeros(batch_size, *DIMS, dtype=torch.bool)
    mask[:, 16:40, 16:48, 16:40] = True
    return (
        cloud(150, sum(CHANNELS[:3]), 1, batch_size),
        cloud(300, CHANNELS[3], 1, batch_size),
        levels,
        torch.randn(batch_size, QUERIES, 7),
        mask,
    )


def only(voxels, sample):
    one = prune(voxels, voxels.coords[:, 0] == sample)
    coords = one.coords * torch.tensor([0, 1, 1, 1], dtype=torch.int32)
    return SparseVoxels(coords, one.feats, voxels.stride, 1)


def test_coarse_mask_looks_at_two_of_four_voxels():
    mask = torch.zeros(1, 64, 64, 64, dtype=torch.bool)
    mask[0, 5, 9, 13] = True  # 4i + 1 along every axis
    mask[0, 2, 0, 0] = True  # not looked at
    assert coarsen_frustum_mask(mask).nonzero().tolist() == [[0, 1, 2, 3]]


def test_predictions_have_their_shapes_and_bounds():
    out = decoder()(*inputs())
    assert out.occupancy_logits_4.shape == (2, 16, 24, 16)
    assert out.mask_logits_4.shape == (2, QUERIES, 16, 24, 16)
    assert out.occupancy_logits_4.isfinite().sum() == 2 * 6 * 8 * 6
    assert out.occupancy_logits_2.stride == 2
    assert out.mask_logits_2.num_channels == QUERIES
    assert inside(out.occupancy_logits_2, (32, 48, 32)).all()
    assert inside(out.mask_logits_2, (32, 48, 32)).all()
    assert inside(out.occupancy_logits_1, DIMS).all()
    assert torch.equal(out.tudf.coords, out.mask_features_1.coords)
    assert out.tudf.feats.min() >= 0 and out.tudf.feats.max() <= 3
    assert out.mask_queries_1.shape == (2, QUERIES, 3)


@pytest.mark.parametrize('norm', ['per_voxel', 'per_instance'])
def test_batched_is_one_by_one(norm):
    model = decoder(norm)
    surface, lifted, coarse, queries, mask = inputs()
    with torch.no_grad():
        together = model(surface, lifted, coarse, queries, mask)
        for sample in range(2):
            alone = model(
                only(surface, sample),
                only(lifted, sample),
                [only(level, sample) for level in coarse],
                queries[sample : sample + 1],
                mask[sample : sample + 1],
            )
            assert_close(
                together.mask_logits_4[sample],
                alone.mask_logits_4[0],
                rtol=1e-3,
                atol=1e-4,
            )
            for name in (
                'occupancy_logits_2',
                'occupancy_logits_1',
                'tudf',
                'mask_logits_2',
                'mask_features_1',
            ):
                ours = only(getattr(together, name), sample)
                theirs = getattr(alone, name)
                assert torch.equal(ours.coords, theirs.coords)
                assert_close(ours.feats, theirs.feats, rtol=1e-3, atol=1e-4)


@pytest.mark.backend
@pytest.mark.skipif(
    'spconv' not in available_backends(), reason='spconv is not installed'
)
def test_both_backends_decode_alike_forward_and_backward():
    model, given = decoder(), inputs()
    names = ('occupancy_logits_2', 'occupancy_logits_1', 'tudf', 'mask_features_1')
    results = {}
    for backend in ('torch', 'spconv'):
        model.zero_grad()
        with use_backend(backend):
            out = model(*given)
            voxels = [getattr(out, name) for name in names]
            sum(v.feats.square().mean() for v in voxels).backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        results[backend] = voxels, gradients
    (truth, gradients), (got, others) = results['torch'], results['spconv']
    for theirs, ours in zip(got, truth, strict=True):
        assert torch.equal(theirs.coords, ours.coords)
        assert_close(theirs.feats, ours.feats, rtol=1e-3, atol=1e-4)
    assert len(gradients) > 20
    for theirs, ours in zip(others, gradients, strict=True):
        # Sums over thousands of voxels, in another order.
        assert_close(theirs, ours, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize('norm', ['per_voxel', 'per_instance'])
def test_fused_input_may_be_written_out(norm):
    model = decoder(norm, coarse=False)
    surface, lifted, _, queries, mask = inputs(coarse=False)
    written = concatenate(merge(surface), merge(lifted))
    with torch.no_grad():
        lean = model(surface, lifted, [], queries, mask)
        dense = model.decode(fuse(written), [], queries, mask)
    assert torch.equal(lean.tudf.coords, dense.tudf.coords)
    assert_close(lean.tudf.feats, dense.tudf.feats, rtol=1e-3, atol=1e-4)


def test_queries_may_change_places():
    model, (surface, lifted, coarse, queries, mask) = decoder(), inputs()
    order = torch.tensor([2, 0, 1])
    with torch.no_grad():
        out = model(surface, lifted, coarse, queries, mask)
        other = model(surface, lifted, coarse, queries[:, order], mask)
    assert_close(other.mask_logits_4, out.mask_logits_4[:, order])
    assert_close(other.mask_logits_2.feats, out.mask_logits_2.feats[:, order])
    assert_close(other.mask_queries_1, out.mask_queries_1[:, order])


def test_every_parameter_learns():
    model = decoder()
    out = model(*inputs())
    inner = out.mask_logits_4.isfinite()
    total = out.mask_logits_4[inner].sum() + (
        out.mask_features_1.feats.sum() * out.mask_queries_1.sum()
    )
    total = total + out.occupancy_logits_4[out.occupancy_logits_4.isfinite()].sum()
    for voxels in (
        out.occupancy_logits_2,
        out.occupancy_logits_1,
        out.mask_logits_2,
        out.tudf,
    ):
        total = total + voxels.feats.square().sum()
    total.backward()
    without = [n for n, p in model.named_parameters() if not p.grad.abs().sum() > 0]
    assert without == []


def test_where_nothing_is_occupied_all_of_the_grid_is_kept():
    model = decoder(bias=-1e4)
    with torch.no_grad():
        out = model(*inputs())
    assert (out.occupancy_logits_4 < 0).all()
    assert torch.equal(out.tudf.coords, out.occupancy_logits_1.coords)
    assert len(out.tudf)


def test_a_sample_without_voxels_predicts_none():
    model = decoder(bias=-1e4)
    surface, lifted, coarse, queries, mask = inputs()
    keep = [prune(v, v.coords[:, 0] == 1) for v in (surface, lifted, *coarse)]
    with torch.no_grad():
        out = model(keep[0], keep[1], keep[2:], queries, mask)
    assert out.tudf.cells.sample_sizes[0] == 0
    assert out.tudf.cells.sample_sizes[1] > 0
    assert out.occupancy_logits_4.shape[0] == 2


@pytest.mark.parametrize('norm', ['per_voxel', 'per_instance'])
def test_no_voxel_at_all_still_trains(norm):
    model = decoder(norm, bias=-1e4)
    surface, lifted, coarse, queries, mask = inputs()
    nothing = [prune(v, v.coords[:, 0] > 5) for v in (surface, lifted, *coarse)]
    out = model(nothing[0], nothing[1], nothing[2:], queries, mask)
    assert len(out.tudf) == len(out.mask_logits_2) == len(out.occupancy_logits_2) == 0
    total = out.tudf.feats.sum() + out.occupancy_logits_1.feats.sum()
    total.backward()
    assert model.tudf_head[3].weight.grad.eq(0).all()


def test_input_without_voxels_but_occupied_cells():
    model = decoder(bias=-1e4)
    with torch.no_grad():
        model.occupancy_heads['stride_4'].bias.fill_(1e4)
        surface, lifted, coarse, queries, mask = inputs()
        nothing = [prune(v, v.coords[:, 0] > 5) for v in (surface, lifted, *coarse)]
        out = model(nothing[0], nothing[1], nothing[2:], queries, mask)
    assert len(out.tudf)


@pytest.mark.breaks_types
def test_wrong_inputs_are_named():
    model, (surface, lifted, coarse, queries, mask) = decoder(), inputs()
    with pytest.raises(ValueError, match=r'multiples of 32 voxels.*\(64, 96, 48\)'):
        model(surface, lifted, coarse, queries, mask[..., :48])
    with pytest.raises(ValueError, match='3 coarse adapters got 2 coarse levels'):
        model(surface, lifted, coarse[:2], queries, mask)
    with pytest.raises(ValueError, match='batch of 1 were expected, got 2'):
        model(surface, lifted, coarse, queries, mask[:1])
    with pytest.raises(ValueError, match=r'channels \(2, 6, 3, 4\) were expected'):
        model(surface.with_feats(surface.feats[:, 1:]), lifted, coarse, queries, mask)
    with pytest.raises(ValueError, match='truncation must be positive'):
        FrustumDecoder(truncation=0)


def published_shapes():
    path = FOLDER / 'A_stage2_front3d_keys.json'
    if not path.exists():
        pytest.skip(f'no {path}; set MMP3D_GOLDEN to the folder of recorded fixtures')
    keys = json.loads(path.read_text())['keys']
    return {k: v['shape'] for k, v in keys.items() if k.startswith('completion.')}


def test_every_published_tensor_of_the_decoder_is_taken():
    published = published_shapes()
    with torch.device('meta'):
        ours = FrustumDecoder().state_dict()
        theirs = {k: torch.empty(shape) for k, shape in published.items()}
    converted = to_ours(theirs)
    assert not converted.unknown and not converted.dropped
    prefix = 'frustum_branch.decoder.'
    shapes = {k.removeprefix(prefix): v.shape for k, v in converted.state.items()}
    assert shapes == {k: v.shape for k, v in ours.items()}
    assert sum(map(prod, shapes.values())) == 10_223_972

    back = to_published({prefix + k: v for k, v in ours.items()})
    assert not back.unknown
    assert {k: list(v.shape) for k, v in back.state.items()} == published


def test_without_coarse_inputs_there_are_fewer_tensors():
    with torch.device('meta'):
        model = FrustumDecoder(coarse_channels=None)
    assert len(model.state_dict()) == 76
    assert sum(p.numel() for p in model.parameters()) == 9_225_716


def test_layouts_survive_the_way_there_and_back():
    model = decoder()
    state = {f'frustum_branch.decoder.{k}': v for k, v in model.state_dict().items()}
    again = to_ours(to_published(state).state)
    assert again.state.keys() == state.keys()
    for name, tensor in state.items():
        assert torch.equal(again.state[name], tensor)


def test_predictions_name_every_field():
    out = decoder()(*inputs(), with_coarse_masks=False)
    empty = {f.name for f in fields(out) if getattr(out, f.name) is None}
    assert empty == {'mask_logits_4', 'mask_logits_2'}
