"""Attention, LayerScale and the transformer block."""

from __future__ import annotations

import pytest
import torch

from mmp3d.models.layers import (
    Attention,
    Block,
    LayerScale,
    init_transformer,
    patch_positions,
    rotary_table,
)


def attend_by_hand(attention: Attention, x: torch.Tensor) -> torch.Tensor:
    """The same attention as matrix products, one head after the other."""
    q, k, v = attention.qkv(x).chunk(3, dim=-1)
    heads = []
    size = x.shape[-1] // attention.num_heads
    for h in range(attention.num_heads):
        part = slice(h * size, (h + 1) * size)
        q_h, k_h = attention.q_norm(q[..., part]), attention.k_norm(k[..., part])
        weights = (q_h @ k_h.transpose(1, 2) / size**0.5).softmax(dim=-1)
        heads.append(weights @ v[..., part])
    return attention.proj(torch.cat(heads, dim=-1))


@pytest.mark.parametrize('qk_norm', [False, True])
def test_attention_is_softmax_of_products(qk_norm):
    attention = Attention(12, num_heads=3, qk_norm=qk_norm)
    x = torch.randn(2, 5, 12)
    torch.testing.assert_close(attention(x), attend_by_hand(attention, x))


def test_gradients_match_the_products():
    attention = Attention(12, num_heads=3, qk_norm=True)
    x = torch.randn(2, 5, 12, requires_grad=True)
    (fast,) = torch.autograd.grad(attention(x).square().sum(), x)
    (slow,) = torch.autograd.grad(attend_by_hand(attention, x).square().sum(), x)
    torch.testing.assert_close(fast, slow)


def test_attention_without_positions_ignores_the_order_of_tokens():
    attention = Attention(12, num_heads=2)
    x = torch.randn(2, 7, 12)
    order = torch.randperm(7)
    torch.testing.assert_close(attention(x[:, order]), attention(x)[:, order])


def test_attention_with_positions_does_not():
    attention = Attention(16, num_heads=2, qk_norm=True)
    table = rotary_table(patch_positions((2, 3), 1, torch.device('cpu')), 8)
    x = torch.randn(1, 7, 16)
    turned = attention(x.flip(1), table).flip(1)
    assert (turned - attention(x, table)).abs().max() > 1e-3


def test_samples_of_a_batch_do_not_see_each_other():
    block = Block(12, num_heads=3)
    x = torch.randn(3, 5, 12)
    alone = torch.cat([block(sample[None]) for sample in x])
    torch.testing.assert_close(block(x), alone)


def test_layer_scale_of_zero_makes_a_block_the_identity():
    block = Block(12, num_heads=3, init_values=0.0)
    x = torch.randn(2, 5, 12)
    torch.testing.assert_close(block(x), x)


def test_layer_scale_starts_at_its_value():
    scale = LayerScale(3, 0.25)
    torch.testing.assert_close(
        scale(torch.tensor([[4.0, -8.0, 0.0]])), torch.tensor([[1.0, -2.0, 0.0]])
    )


def test_block_has_the_published_names():
    names = set(Block(12, num_heads=3, qk_norm=True).state_dict())
    linear = ['attn.qkv', 'attn.proj', 'mlp.fc1', 'mlp.fc2']
    norms = ['norm1', 'norm2', 'attn.q_norm', 'attn.k_norm']
    expected = {f'{n}.{kind}' for n in linear + norms for kind in ('weight', 'bias')}
    assert names == expected | {'ls1.gamma', 'ls2.gamma'}


def test_epsilon_belongs_to_the_token_norms_only():
    block = Block(12, num_heads=3, qk_norm=True, norm_eps=1e-6)
    assert block.norm1.eps == block.norm2.eps == 1e-6
    assert block.attn.q_norm.eps == block.attn.k_norm.eps == 1e-5


def test_linear_layers_start_small_and_without_bias():
    block = Block(64, num_heads=4)
    init_transformer(block)
    assert 0.015 < block.mlp.fc1.weight.std() < 0.025
    assert not block.attn.qkv.bias.any()


def test_mixed_precision_runs():
    block = Block(16, num_heads=2, qk_norm=True)
    table = rotary_table(patch_positions((2, 3), 1, torch.device('cpu')), 8)
    x = torch.randn(2, 7, 16)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mixed = block(x, table)
    # bfloat16 has 8 bits of mantissa.
    torch.testing.assert_close(mixed.float(), block(x, table), atol=0.05, rtol=0.05)


def test_heads_must_divide_the_channels():
    with pytest.raises(
        ValueError, match='multiple of num_heads, got 10 channels and 3'
    ):
        Attention(10, num_heads=3)
