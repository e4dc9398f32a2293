"""The geometry backbone as a whole."""

from __future__ import annotations

import warnings

import pytest
import torch

from mmp3d.models.backbones import VGGT, Aggregator, resize_to_patches
from mmp3d.registry import MODELS
from mmp3d.structures import CameraBatch, FrustumGrid

DINO = {
    'type': 'DINOv2',
    'img_size': 12,
    'depth': 1,
    'num_heads': 2,
    'num_register_tokens': 1,
}
DEPTH_HEAD = {'type': 'DPTHead', 'features': 8, 'out_channels': (4, 4, 8, 8)}
PYRAMID = {'type': 'TokenPyramid', 'out_channels': (4, 5, 6, 7)}
CAMERA = {'type': 'CameraHead', 'trunk_depth': 1, 'num_heads': 2}


def tiny(**changes) -> VGGT:
    config = {
        'type': 'VGGT',
        'input_width': 20,
        'patch_size': 4,
        'embed_dim': 16,
        'depth': 4,
        'num_heads': 2,
        'num_register_tokens': 2,
        'taps': (0, 1, 2, 3),
        'init_values': 1.0,
        'patch_embed': DINO,
        'depth_head': DEPTH_HEAD,
        'token_pyramid': PYRAMID,
        'camera_head': CAMERA,
    }
    return MODELS.build({**config, **changes})


def tiny_aggregator(**changes) -> Aggregator:
    sizes = {
        'patch_embed': {**DINO, 'patch_size': 4},
        'embed_dim': 16,
        'depth': 2,
        'num_heads': 2,
        'num_register_tokens': 2,
        'taps': (0, 1),
        'init_values': 1.0,
    }
    return Aggregator(**{**sizes, **changes})


def batch_of(images: torch.Tensor) -> CameraBatch:
    batch_size, num_views = images.shape[:2]
    return CameraBatch(
        images=images,
        K=torch.eye(3).expand(batch_size, num_views, 3, 3),
        image_sizes=((images.shape[-2], images.shape[-1]),) * batch_size,
        grid=FrustumGrid(),
    )


def test_hands_on_features_of_the_first_view():
    features = tiny()(batch_of(torch.rand(2, 3, 3, 32, 64)))
    shapes = [tuple(plane.shape) for plane in features.pyramid]
    # 32x64 at width 20 is 10 pixels high: 2.5 patches, rounded half to even.
    assert shapes == [(2, 4, 8, 20), (2, 5, 4, 10), (2, 6, 2, 5), (2, 7, 1, 3)]
    sizes = [tuple(plane.shape[-2:]) for plane in features.depth_pyramid]
    assert sizes == [(16, 40), (8, 20), (4, 10), (2, 5)]
    assert features.depth.shape == (2, 8, 20)
    assert features.pose_encoding.shape == (2, 9)


def test_without_a_camera_head_there_is_no_pose():
    model = tiny(camera_head=None)
    assert model(batch_of(torch.rand(1, 1, 3, 32, 64))).pose_encoding is None
    assert not any('camera_head' in name for name in model.state_dict())


def test_batch_equals_one_by_one():
    model = tiny().eval()
    images = torch.rand(3, 2, 3, 32, 40)
    together = model(batch_of(images))
    for i in range(3):
        alone = model(batch_of(images[i : i + 1]))
        torch.testing.assert_close(together.depth[i], alone.depth[0])
        torch.testing.assert_close(together.pyramid[0][i], alone.pyramid[0][0])
        torch.testing.assert_close(together.pose_encoding[i], alone.pose_encoding[0])


def test_views_see_each_other_in_global_blocks():
    model = tiny().eval()
    images = torch.rand(1, 2, 3, 32, 40)
    changed = images.clone()
    changed[:, 1] = torch.rand(1, 3, 32, 40)
    before, after = model(batch_of(images)), model(batch_of(changed))
    assert not torch.allclose(before.depth, after.depth)


def test_later_views_share_the_second_variant_of_the_special_tokens():
    model = tiny_aggregator()
    torch.nn.init.normal_(model.camera_token)
    images = torch.rand(1, 3, 3, 8, 12)
    swapped = images[:, [0, 2, 1]]
    layers, swapped_layers = model(images), model(swapped)
    torch.testing.assert_close(swapped_layers[-1], layers[-1][:, [0, 2, 1]])
    moved = model(images[:, [1, 0, 2]])
    assert not torch.allclose(moved[-1][:, [1, 0, 2]], layers[-1], atol=1e-3)


def test_only_the_tapped_layers_are_given_back():
    every = tiny_aggregator(depth=4, taps=(0, 1, 2, 3))
    some = tiny_aggregator(depth=4, taps=(1, 3))
    some.load_state_dict(every.state_dict())
    images = torch.rand(1, 1, 3, 8, 12)
    all_layers, tapped = every(images), some(images)
    assert len(tapped) == 2
    assert torch.equal(tapped[0], all_layers[1])
    assert torch.equal(tapped[1], all_layers[3])


def test_a_shallow_model_may_tap_a_pair_twice():
    layers = tiny_aggregator(depth=2, taps=(0, 0, 1, 1))(torch.rand(1, 1, 3, 8, 12))
    assert len(layers) == 4
    assert torch.equal(layers[0], layers[1])
    assert torch.equal(layers[2], layers[3])


def test_frame_channels_come_before_global_channels():
    model = tiny_aggregator(depth=1, taps=(0,))
    torch.nn.init.zeros_(model.global_blocks[0].ls1.gamma)
    torch.nn.init.zeros_(model.global_blocks[0].ls2.gamma)
    (layer,) = model(torch.rand(1, 1, 3, 8, 12))
    torch.testing.assert_close(layer[..., :16], layer[..., 16:])


def test_activation_checkpoint_changes_no_number():
    model = tiny()
    images = torch.rand(2, 1, 3, 32, 40)
    results = []
    for switch in (False, True):
        for part in (model, model.aggregator, model.aggregator.patch_embed):
            part.activation_checkpoint = switch
        model.zero_grad()
        features = model(batch_of(images))
        loss = features.depth.sum() + sum(p.square().sum() for p in features.pyramid)
        (loss + features.pose_encoding.sum()).backward()
        gradients = {n: p.grad.clone() for n, p in model.named_parameters()}
        results.append((features, gradients))
    (plain, plain_gradients), (saved, saved_gradients) = results
    assert torch.equal(plain.depth, saved.depth)
    assert torch.equal(plain.pyramid[0], saved.pyramid[0])
    for name, gradient in plain_gradients.items():
        assert torch.equal(gradient, saved_gradients[name]), name


def test_option_reaches_every_block():
    model = tiny(activation_checkpoint=True)
    assert model.aggregator.activation_checkpoint
    assert model.aggregator.patch_embed.activation_checkpoint


def test_trains_from_scratch_without_dead_weight():
    model = tiny(camera_head=None)
    features = model(batch_of(torch.rand(1, 1, 3, 32, 40)))
    pyramids = (*features.pyramid, *features.depth_pyramid)
    (features.depth.sum() + sum(p.square().sum() for p in pyramids)).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_frozen_parts_keep_no_graph_and_the_heads_still_train():
    model = tiny()
    model.aggregator.requires_grad_(False)
    model.camera_head.requires_grad_(False)
    features = model(batch_of(torch.rand(1, 1, 3, 32, 40)))
    assert not features.pose_encoding.requires_grad
    features.depth.sum().backward()
    assert model.depth_head.projects[0].weight.grad is not None


def test_a_frozen_patch_embedding_trains_the_rest():
    model = tiny_aggregator()
    model.patch_embed.requires_grad_(False)
    model(torch.rand(1, 1, 3, 8, 12))[-1].sum().backward()
    assert model.frame_blocks[0].attn.qkv.weight.grad is not None


def test_inference_leaves_gradients_off():
    model = tiny()
    with torch.no_grad():
        assert not model(batch_of(torch.rand(1, 1, 3, 32, 40))).depth.requires_grad


def test_a_few_steps_of_training_learn_a_constant_depth():
    model = tiny(camera_head=None, depth_head={**DEPTH_HEAD, 'init_depth': 2.0})
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    batch = batch_of(torch.rand(2, 1, 3, 32, 40))
    for _ in range(30):
        loss = (model(batch).depth.log() - 1.5).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.2  # it starts at about 0.8


@pytest.mark.parametrize(
    ('size', 'width', 'expected'),
    [
        ((256, 320), 448, (364, 448)),
        ((480, 640), 448, (336, 448)),
        ((224, 352), 448, (280, 448)),
        ((256, 320), 224, (182, 224)),
        ((160, 448), 448, (154, 448)),  # 11.4 patches
        ((7 * 5, 28), 28, (28, 28)),  # 2.5 patches: half to even
        ((7 * 7, 28), 28, (56, 28)),  # 3.5 patches: half to even
    ],
)
def test_resized_height_is_whole_patches(size, width, expected):
    images = torch.rand(2, 1, 3, *size)
    assert resize_to_patches(images, width, 14).shape == (2, 1, 3, *expected)


def test_resize_of_an_equal_size_changes_nothing():
    images = torch.rand(1, 2, 3, 28, 42)
    torch.testing.assert_close(resize_to_patches(images, 42, 14), images)


def test_an_image_far_too_flat_is_refused():
    with pytest.raises(ValueError, match='less than one patch of 14 pixels high'):
        resize_to_patches(torch.rand(1, 1, 3, 32, 4096), 448, 14)


def test_full_shapes_on_the_meta_device():
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
        images = torch.zeros(1, 1, 3, 256, 320)
    features = model(batch_of(images))
    assert [tuple(plane.shape[1:]) for plane in features.pyramid] == [
        (256, 104, 128),
        (512, 52, 64),
        (1024, 26, 32),
        (2048, 13, 16),
    ]
    assert [tuple(plane.shape[1:]) for plane in features.depth_pyramid] == [
        (256, 208, 256),
        (256, 104, 128),
        (256, 52, 64),
        (256, 26, 32),
    ]
    assert features.depth.shape == (1, 364, 448)

    def count(part: torch.nn.Module) -> int:
        return sum(p.numel() for p in part.parameters())

    mask_token = 1024  # published, dead
    assert count(model.aggregator) == 909_112_320 - mask_token
    assert count(model.camera_head) == 216_174_610
    assert count(model.depth_head) == 32_654_562
    assert count(model.token_pyramid) == 146_298_624


@pytest.mark.breaks_types
def test_a_traced_model_answers_alike():
    model = tiny().eval()

    class Depth(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, images):
            return model(batch_of(images)).depth

    images, others = torch.rand(2, 1, 1, 3, 32, 40)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # sizes become constants, as is meant
        traced = torch.jit.trace(Depth(), images, check_trace=False)
        assert torch.equal(traced(others), model(batch_of(others)).depth)


def test_width_must_be_whole_patches():
    with pytest.raises(ValueError, match='multiple of patch_size 4, got 22'):
        tiny(input_width=22)


@pytest.mark.parametrize('taps', [(0, 1, 2), (0, 2, 1, 3), (0, 0, 2, 3), (), (-1, 3)])
def test_taps_must_ascend_to_the_last_pair(taps):
    with pytest.raises(ValueError, match='taps must ascend'):
        tiny(taps=taps)


def test_taps_must_be_as_many_as_the_heads_read():
    model = tiny(depth=3, taps=(0, 1, 2))
    with pytest.raises(ValueError, match='tokens of four layers, got 3'):
        model(batch_of(torch.rand(1, 1, 3, 32, 40)))


def test_a_part_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r'patch_embed\.embed_dim must be 16'):
        tiny(patch_embed={**DINO, 'embed_dim': 32})
