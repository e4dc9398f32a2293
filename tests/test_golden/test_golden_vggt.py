"""The geometry backbone against the recorded reference."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from golden import Golden, golden_files, load
from torch import nn

from mmp3d.models.backbones import Aggregator, DINOv2, resize_to_patches
from mmp3d.models.data_preprocessors import ReconstructionDataPreprocessor
from mmp3d.models.heads import CameraHead, DPTHead
from mmp3d.models.layers import Block, rotary_table, rotate, uv_waves
from mmp3d.models.necks import TokenPyramid
from mmp3d.registry import MODELS
from mmp3d.structures import FrustumGrid, PanopticReconstructionSample
from projects.NvPanoptix3D.nvpanoptix3d.checkpoint_keys import to_ours, to_published


def load_published(
    module: nn.Module, golden: Golden, published: str, ours: str | None = None
) -> nn.Module:
    """Load a fixture's weights through the converter's rules, strictly."""
    named = {f'{published}.{k}': v for k, v in golden.weights.items()}
    converted = to_ours(named)
    assert converted.unknown == ()
    prefix = f'{ours or published}.'
    assert all(name.startswith(prefix) for name in converted.state)
    state = {name[len(prefix) :]: v for name, v in converted.state.items()}
    module.load_state_dict(state, strict=True)
    return module.eval()


def assert_close(actual: torch.Tensor, expected: np.ndarray, atol: float):
    expected = torch.from_numpy(expected)
    torch.testing.assert_close(actual, expected, atol=atol, rtol=0)


@pytest.mark.parametrize('path', golden_files('C_block_rope*.npz'))
@torch.no_grad()
def test_block_and_rotary_embedding(path):
    golden = load(path)
    meta = golden.meta
    sizes = meta['dim'], meta['num_heads'], float(meta['mlp_ratio'])
    block = Block(*sizes, qk_norm=meta['qk_norm'])
    plain = Block(*sizes)
    for name, module in (('block', block), ('plain_block', plain)):
        prefix = f'{name}.'
        state = {
            k[len(prefix) :]: v
            for k, v in golden.weights.items()
            if k.startswith(prefix)
        }
        module.load_state_dict(state, strict=True)
    x, q = golden.tensor('x'), golden.tensor('q')
    table = rotary_table(
        golden.tensor('pos'), q.shape[-1], float(meta['rope_frequency'])
    )

    assert_close(rotate(q, table), golden.outputs['rope_q'], 1e-5)
    attended = block.attn(block.norm1(x), table)
    assert_close(attended, golden.outputs['attention_of_norm1'], 1e-5)
    assert_close(block(x, table), golden.outputs['block'], 1e-5)
    assert_close(plain(x), golden.outputs['plain_block'], 1e-5)


@pytest.mark.parametrize('path', golden_files('C_dinov2_patch_embed*.npz'))
@torch.no_grad()
def test_dinov2(path):
    golden = load(path)
    meta = golden.meta
    model = DINOv2(
        img_size=meta['img_size'],
        patch_size=meta['patch_size'],
        embed_dim=meta['embed_dim'],
        depth=meta['depth'],
        num_heads=meta['num_heads'],
        num_register_tokens=meta['num_register_tokens'],
        mlp_ratio=float(meta['mlp_ratio']),
        init_values=meta['init_values'],
    )
    published = 'backbone.aggregator.patch_embed'
    load_published(model, golden, published)
    names = [name.removeprefix('image_') for name in golden.inputs]
    assert names
    for name in names:
        images = golden.tensor(f'image_{name}')
        tokens = model(images)
        grid = tuple(n // meta['patch_size'] for n in images.shape[-2:])
        outputs = golden.outputs
        assert_close(model.position_embedding(grid), outputs[f'pos_embed_{name}'], 1e-5)
        assert_close(tokens.patches, outputs[f'patchtokens_{name}'], 1e-5)
        assert_close(tokens.cls, outputs[f'clstoken_{name}'], 1e-5)
        assert_close(tokens.registers, outputs[f'regtokens_{name}'], 1e-5)


@pytest.mark.parametrize('path', golden_files('C_aggregator*.npz'))
@torch.no_grad()
def test_aggregator(path):
    golden = load(path)
    meta = golden.meta
    model = Aggregator(
        patch_embed=dict(
            type='DINOv2',
            img_size=meta['img_size'],
            patch_size=meta['patch_size'],
            **meta['patch_embed'],
        ),
        embed_dim=meta['embed_dim'],
        depth=meta['depth'],
        num_heads=meta['num_heads'],
        num_register_tokens=meta['num_register_tokens'],
        taps=range(meta['depth']),
        init_values=meta['init_values'],
    )
    load_published(model, golden, 'backbone.aggregator')
    assert model.first_patch == meta['patch_start_idx']
    names = [name.removeprefix('images_') for name in golden.inputs]
    assert names
    for name in names:
        layers = model(golden.tensor(f'images_{name}'))
        for index, layer in enumerate(layers):
            assert_close(layer, golden.outputs[f'tokens_{name}_{index}'], 1e-4)


@pytest.mark.parametrize('path', golden_files('C_camera_head*.npz'))
@torch.no_grad()
def test_camera_head(path):
    golden = load(path)
    meta = golden.meta
    model = CameraHead(
        dim=meta['dim_in'],
        trunk_depth=meta['trunk_depth'],
        num_heads=meta['num_heads'],
        num_iterations=meta['num_iterations'],
    )
    load_published(model, golden, 'backbone.camera_head')
    steps = model(golden.tensor('tokens_last')[:, :, 0])
    assert len(steps) == meta['num_iterations']
    for index, step in enumerate(steps):
        assert_close(step, golden.outputs[f'pose_enc_iteration_{index}'], 1e-4)


def tapped_patches(golden: Golden) -> list[torch.Tensor]:
    """The patch tokens of the tapped layers, views moved into the batch."""
    start = golden.meta['patch_start_idx']
    return [
        golden.tensor(f'tokens_{index}').flatten(0, 1)[:, start:]
        for index in golden.meta['intermediate_layer_idx']
    ]


def patch_grid(golden: Golden) -> tuple[int, int]:
    """Rows and columns; the patch size follows from the number of tokens."""
    height, width = golden.meta['image_hw']
    patches = tapped_patches(golden)[0].shape[1]
    size = round((height * width / patches) ** 0.5)
    return height // size, width // size


@pytest.mark.parametrize('path', golden_files('C_dpt_depth_head*.npz'))
@torch.no_grad()
def test_depth_head(path):
    golden = load(path)
    meta = golden.meta
    grid = patch_grid(golden)
    model = DPTHead(
        in_channels=meta['dim_in'],
        patch_size=meta['image_hw'][0] // grid[0],
        features=meta['features'],
        out_channels=meta['out_channels'],
    )
    load_published(model, golden, 'backbone.depth_head')
    maps = model(tapped_patches(golden), grid)
    expected = golden.outputs
    depth = expected['depth'][..., 0]
    assert_close(maps.depth, depth.reshape(-1, *depth.shape[-2:]), 1e-4)
    confidence = expected['depth_conf']
    confidence = confidence.reshape(-1, *confidence.shape[-2:])
    assert_close(maps.confidence, confidence, 1e-4)
    for index, plane in enumerate(maps.pyramid):
        assert_close(plane, expected[f'depth_features_{index}'], 1e-4)


@pytest.mark.parametrize('path', golden_files('C_dpt_depth_head*.npz'))
def test_uv_embedding(path):
    golden = load(path)
    height, width = golden.meta['image_hw']
    grid = golden.outputs['uv_grid']
    expected = golden.outputs['uv_embed']
    along_x, along_y = uv_waves(
        expected.shape[-1], *grid.shape[:2], aspect=width / height
    )
    shape = expected.shape
    embedding = np.concatenate(
        [
            np.broadcast_to(along_x.T[None], (*shape[:2], shape[2] // 2)),
            np.broadcast_to(along_y.T[:, None], (*shape[:2], shape[2] // 2)),
        ],
        axis=-1,
    )
    scale = 0.1 if np.abs(expected).max() > 0.5 else 1.0
    np.testing.assert_allclose(embedding, scale * expected, atol=1e-6)


@pytest.mark.parametrize('path', golden_files('C_dpt_to_pixel_decoder*.npz'))
@torch.no_grad()
def test_token_pyramid(path):
    golden = load(path)
    meta = golden.meta
    model = TokenPyramid(in_channels=meta['dim_in'], out_channels=meta['out_channels'])
    load_published(
        model, golden, 'backbone.dpt2pixeldecoder', ours='backbone.token_pyramid'
    )
    tokens = [t[..., : meta['dim_in']] for t in tapped_patches(golden)]
    pyramid = model(tokens, patch_grid(golden))
    for index, plane in enumerate(pyramid):
        assert_close(plane, golden.outputs[f'res{index + 2}'], 1e-5)


@pytest.mark.parametrize('path', golden_files('F_resize_*.npz'))
def test_padding_and_resize(path):
    golden = load(path)
    meta = golden.meta
    expected = golden.outputs
    image = golden.tensor('image')
    step = meta['stored_step']
    preprocess = ReconstructionDataPreprocessor(
        pad_size_divisor=meta['size_divisibility'], pad_value=0.0
    )
    sample = PanopticReconstructionSample(metainfo={'grid': FrustumGrid()})
    batch = preprocess(
        {
            'inputs': {'img': list(image), 'K': [torch.eye(3)] * len(image)},
            'data_samples': [sample] * len(image),
        }
    )['inputs']
    assert list(batch.padded_size) == expected['padded_hw'].tolist()
    resized = resize_to_patches(batch.images, meta['target_width'], meta['patch'])
    assert list(resized.shape) == expected['output_shape'].tolist()
    assert list(resized.shape[-2:]) == expected['resized_hw'].tolist()
    assert_close(resized[..., ::step, ::step], expected['resized_sampled'], 1e-5)
    means = resized.mean(dim=(0, 1, 3, 4))
    assert_close(means, expected['channel_means'].astype(np.float32), 1e-5)
    rows = expected['last_rows']
    columns = expected['last_columns']
    assert_close(resized[..., -rows.shape[-2] :, ::step], rows, 1e-5)
    assert_close(resized[..., ::step, -columns.shape[-1] :], columns, 1e-5)


def test_fixture_weight_names_have_no_running_numbers_left_out():
    """Rules are one to one: names that differ only in an index stay apart."""
    names = [f'backbone.dpt2pixeldecoder.projects.{i}.bias' for i in range(3)]
    converted = to_ours({name: torch.zeros(1) for name in names})
    assert len(converted.state) == 3
    assert all(re.search(r'token_pyramid\.projects\.\d', n) for n in converted.state)


def full_size_shapes() -> dict[str, torch.Size]:
    """Our names at full size, built without memory."""
    with torch.device('meta'):
        model = MODELS.build(
            {
                'type': 'VGGT',
                'patch_embed': {'type': 'DINOv2'},
                'depth_head': {'type': 'DPTHead'},
                'token_pyramid': {'type': 'TokenPyramid'},
                'camera_head': {'type': 'CameraHead'},
            }
        )
    return {f'backbone.{name}': t.shape for name, t in model.state_dict().items()}


def published_shapes(path) -> dict[str, torch.Tensor]:
    keys = json.loads(path.read_text())['keys']
    return {
        name: torch.empty(facts['shape'], device='meta') for name, facts in keys.items()
    }


@pytest.mark.parametrize('path', golden_files('A_stage1_*_keys.json'))
def test_every_published_backbone_tensor_has_its_place(path):
    published = {
        name: t
        for name, t in published_shapes(path).items()
        if name.startswith('backbone.')
    }
    assert published
    converted = to_ours(published)
    assert converted.unknown == ()
    assert list(converted.dropped) == ['backbone.aggregator.patch_embed.mask_token']
    shapes = {name: t.shape for name, t in converted.state.items()}
    assert shapes == full_size_shapes()
    # And back: the same names again.
    assert set(to_published(converted.state).state) | set(converted.dropped) == set(
        published
    )


@pytest.mark.parametrize('path', golden_files('A_vggt1b_keys.json'))
def test_every_tensor_of_the_public_backbone_has_its_place(path):
    converted = to_ours(published_shapes(path))
    assert converted.unknown == ()
    parts = {name.split('.')[0] for name in converted.dropped}
    assert parts == {'aggregator', 'point_head', 'track_head'}
    assert [n for n in converted.dropped if n.startswith('aggregator')] == [
        'aggregator.patch_embed.mask_token'
    ]
    ours = full_size_shapes()
    assert all(ours[name] == t.shape for name, t in converted.state.items())
    missing = set(ours) - set(converted.state)
    assert len(missing) == 24
    assert all(name.startswith('backbone.token_pyramid.') for name in missing)


@pytest.mark.parametrize('path', golden_files('A_stage1_*_keys.json'))
def test_without_a_camera_head_only_its_tensors_are_left_over(path):
    state = to_ours(published_shapes(path)).state
    ours = full_size_shapes()
    without = {n for n in ours if not n.startswith('backbone.camera_head.')}
    left_over = {n for n in state if n.startswith('backbone.')} - without
    assert len(left_over) == 69
    assert all(name.startswith('backbone.camera_head.') for name in left_over)
