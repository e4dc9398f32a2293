import pytest
import torch
from torch import nn

from mmp3d.models.layers.batch_norm import BatchNorm2d
from mmp3d.models.layers.query_layers import QueryAttention, QueryFeedForward

B, Q, N, C, HEADS = 2, 3, 7, 12, 4


def _torch_attention(ours: QueryAttention) -> nn.MultiheadAttention:
    truth = nn.MultiheadAttention(C, HEADS, batch_first=True)
    truth.load_state_dict(
        {
            'in_proj_weight': ours.in_proj.weight.data,
            'in_proj_bias': ours.in_proj.bias.data,
            'out_proj.weight': ours.out_proj.weight.data,
            'out_proj.bias': ours.out_proj.bias.data,
        }
    )
    return truth


@pytest.mark.parametrize('masked', [False, True])
def test_attention_equals_torchs_slow_one_in_values_and_gradients(masked):
    ours = QueryAttention(C, HEADS)
    nn.init.normal_(ours.in_proj.bias)
    truth = _torch_attention(ours)
    queries = torch.randn(B, Q, C, requires_grad=True)
    position = torch.randn(1, Q, C)
    memory = torch.randn(B, N, C, requires_grad=True)
    attended = torch.rand(B, Q, N) < 0.5
    attended[..., 2] = True
    blocked = (~attended).repeat_interleave(HEADS, dim=0) if masked else None

    read, _ = truth(queries + position, memory + 1, memory, attn_mask=blocked)
    expected = ours.norm(queries + read)
    result = ours(queries, position, memory + 1, memory, attended if masked else None)

    torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-4)
    weight = torch.randn_like(result)
    for source in (queries, memory):
        a, b = (
            torch.autograd.grad((out * weight).sum(), source, retain_graph=True)[0]
            for out in (result, expected)
        )
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_a_blocked_cell_is_not_read():
    attention = QueryAttention(C, HEADS)
    queries, memory = torch.randn(1, Q, C), torch.randn(1, N, C)
    attended = torch.ones(1, Q, N, dtype=torch.bool)
    attended[:, 1, 4] = False
    before = attention(queries, queries, memory, memory, attended)
    memory[:, 4] += 1
    after = attention(queries, queries, memory, memory, attended)
    assert torch.equal(before[:, 1], after[:, 1])
    assert not torch.equal(before[:, 0], after[:, 0])


def test_attention_starts_like_the_published_one():
    attention = QueryAttention(64, 8)
    bound = (6 / (64 + 3 * 64)) ** 0.5
    assert attention.in_proj.weight.abs().max() <= bound
    assert attention.in_proj.weight.abs().max() > 0.98 * bound
    assert not attention.in_proj.bias.any()
    assert not attention.out_proj.bias.any()


def test_channels_must_be_divisible_by_the_heads():
    with pytest.raises(ValueError, match=r'channels=10 .* divisible by num_heads=4'):
        QueryAttention(10, 4)


def test_feed_forward_treats_every_query_alone():
    layer = QueryFeedForward(C, 5)
    queries = torch.randn(B, Q, C)
    torch.testing.assert_close(layer(queries)[:, 1:2], layer(queries[:, 1:2]))


def test_batch_norm_accepts_one_value_per_channel():
    norm = BatchNorm2d(3).train()
    norm.running_mean.fill_(2.0)
    norm.running_var.fill_(4.0)
    features = torch.full((1, 3, 1, 1), 6.0, requires_grad=True)
    normed = norm(features)
    # (6 - 2) / 2
    torch.testing.assert_close(normed, torch.full((1, 3, 1, 1), 2.0))
    assert norm.running_mean.tolist() == [2.0, 2.0, 2.0]
    normed.sum().backward()
    assert features.grad.abs().min() > 0


def test_batch_norm_is_torchs_otherwise():
    ours, torchs = BatchNorm2d(3), nn.BatchNorm2d(3)
    features = torch.randn(1, 3, 2, 5)
    assert torch.equal(ours(features), torchs(features))
    assert torch.equal(ours.running_var, torchs.running_var)
