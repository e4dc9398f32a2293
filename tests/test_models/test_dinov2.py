"""DINOv2."""

from __future__ import annotations

import pytest
import torch

from mmp3d.models.backbones import DINOv2
from mmp3d.registry import MODELS


def tiny(**changes) -> DINOv2:
    sizes = {
        'img_size': 12,
        'patch_size': 4,
        'embed_dim': 16,
        'depth': 2,
        'num_heads': 2,
        'num_register_tokens': 3,
    }
    return DINOv2(**{**sizes, **changes})


def test_tokens_of_unequal_grids():
    tokens = tiny()(torch.randn(2, 3, 8, 20))
    assert tokens.cls.shape == (2, 16)
    assert tokens.registers.shape == (2, 3, 16)
    assert tokens.patches.shape == (2, 10, 16)


def test_native_grid_uses_the_position_embedding_as_it_is():
    model = tiny()
    assert torch.equal(model.position_embedding((3, 3)), model.pos_embed)


def test_class_position_is_never_resized():
    model = tiny()
    resized = model.position_embedding((2, 5))
    assert resized.shape == (1, 11, 16)
    assert torch.equal(resized[:, 0], model.pos_embed[:, 0])


def test_grid_of_equal_count_but_other_shape_is_resized():
    model = tiny(img_size=16)  # 4x4 patches
    assert not torch.allclose(model.position_embedding((2, 8)), model.pos_embed)


def test_batch_equals_one_by_one():
    model = tiny()
    images = torch.randn(3, 3, 8, 12)
    together = model(images).patches
    alone = torch.cat([model(image[None]).patches for image in images])
    torch.testing.assert_close(together, alone)


def test_activation_checkpoint_changes_no_number():
    model = tiny()
    images = torch.randn(2, 3, 8, 12)
    results = []
    for switch in (False, True):
        model.activation_checkpoint = switch
        model.zero_grad()
        out = model(images).patches
        out.square().sum().backward()
        results.append((out.detach(), [p.grad.clone() for p in model.parameters()]))
    assert torch.equal(results[0][0], results[1][0])
    for plain, recomputed in zip(results[0][1], results[1][1], strict=True):
        assert torch.equal(plain, recomputed)


def test_every_parameter_is_trained():
    model = tiny()
    tokens = model(torch.randn(1, 3, 8, 12))
    (tokens.patches.square().sum() + tokens.cls.sum()).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_builds_on_the_meta_device():
    with torch.device('meta'):
        model = MODELS.build({'type': 'DINOv2', 'embed_dim': 32, 'num_heads': 2})
    assert model(torch.zeros(1, 3, 28, 42, device='meta')).patches.shape == (1, 6, 32)


@pytest.mark.parametrize('size', [(8, 10), (6, 8), (0, 8)])
def test_images_must_be_whole_patches(size):
    with pytest.raises(ValueError, match=r'whole patches of 4x4 pixels'):
        tiny()(torch.zeros(1, 3, *size))


def test_learned_size_must_be_whole_patches():
    with pytest.raises(ValueError, match='multiple of patch_size 4, got 13'):
        tiny(img_size=13)
