"""Sub-layers of query decoders: attention and feed-forward, residual, then norm."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F


class QueryAttention(nn.Module):
    """Let queries read a memory: multi-head attention, residual, layer norm.

    Args:
        channels: Channels of queries and memory.
        num_heads: Attention heads; must divide ``channels``.

    Raises:
        ValueError: If ``channels`` cannot be divided.

    Source: Vaswani et al., Attention Is All You Need, section 3.2.
    """

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__()
        if channels % num_heads:
            raise ValueError(
                f'channels={channels} of a query attention must be divisible by '
                f'num_heads={num_heads}'
            )
        self.num_heads = num_heads
        # One matrix for queries, keys and values, in this order: the released weights
        # are packed so, and its Xavier bound depends on it.
        self.in_proj = nn.Linear(channels, 3 * channels)
        self.out_proj = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)
        for linear in (self.in_proj, self.out_proj):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(
        self,
        queries: Float[Tensor, 'B Q C'],
        position: Float[Tensor, '#B Q C'],
        keys: Float[Tensor, 'B N C'],
        values: Float[Tensor, 'B N C'],
        attended: Bool[Tensor, 'B Q N'] | None = None,
    ) -> Float[Tensor, 'B Q C']:
        """Give the queries what they read.

        Args:
            queries: Content of the queries.
            position: Added to ``queries`` where they ask, not where they are updated.
            keys: Memory with its positions added.
            values: Memory.
            attended: Cells a query may read, at least one for each; ``None`` = all.
        """
        weights = self.in_proj.weight.chunk(3)
        biases = self.in_proj.bias.chunk(3)
        query, key, value = (
            F.linear(x, weight, bias)
            .unflatten(-1, (self.num_heads, -1))
            .transpose(1, 2)
            for x, weight, bias in zip(
                (queries + position, keys, values), weights, biases, strict=True
            )
        )
        mask = None if attended is None else attended[:, None]
        read = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.norm(queries + self.out_proj(read.transpose(1, 2).flatten(2)))


class QueryFeedForward(nn.Module):
    """Two linear layers with a ReLU between, residual, layer norm.

    Args:
        channels: Channels of the queries.
        hidden_channels: Channels between the two layers.
    """

    def __init__(self, channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(channels, hidden_channels)
        self.linear2 = nn.Linear(hidden_channels, channels)
        self.norm = nn.LayerNorm(channels)
        for linear in (self.linear1, self.linear2):
            nn.init.xavier_uniform_(linear.weight)

    def forward(self, queries: Float[Tensor, 'B Q C']) -> Float[Tensor, 'B Q C']:
        """Transform every query by itself."""
        return self.norm(queries + self.linear2(self.linear1(queries).relu()))
