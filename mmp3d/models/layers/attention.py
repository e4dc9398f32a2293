"""Self-attention and the pre-norm transformer block of vision transformers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mmp3d.models.layers.mlp import Mlp
from mmp3d.models.layers.rope import RotaryTable, rotate


class Attention(nn.Module):
    """Multi-head self-attention.

    Args:
        dim: Channels of the tokens, a multiple of ``num_heads``.
        num_heads: Number of heads.
        qk_norm: Whether to normalise queries and keys per head before they turn.

    Source: Dosovitskiy et al., An Image is Worth 16x16 Words, appendix A; norm of
        queries and keys as in Dehghani et al., Scaling Vision Transformers to 22
        Billion Parameters, section 2.
    """

    def __init__(self, dim: int, num_heads: int, qk_norm: bool = False) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(
                f'attention dim must be a multiple of num_heads, got {dim} channels '
                f'and {num_heads} heads'
            )
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        head_dim = dim // num_heads
        self.q_norm = nn.LayerNorm(head_dim) if qk_norm else nn.Identity()
        self.k_norm = nn.LayerNorm(head_dim) if qk_norm else nn.Identity()
        self.proj = nn.Linear(dim, dim)

    def forward(
        self, x: Float[Tensor, 'B N C'], rotary: RotaryTable | None = None
    ) -> Float[Tensor, 'B N C']:
        """Let every token look at all tokens of its row of the batch.

        Args:
            x: Tokens.
            rotary: Positions of the tokens; ``None`` = attention without positions.
        """
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))  # B N 3 heads D
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        q, k = self.q_norm(q), self.k_norm(k)
        if rotary is not None:
            q, k = rotate(q, rotary), rotate(k, rotary)
        # Under autocast the norms answer in float32; the kernel wants one type.
        mixed = F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class LayerScale(nn.Module):
    """A learned factor per channel.

    Source: Touvron et al., Going Deeper with Image Transformers, section 2.
    """

    def __init__(self, dim: int, init_value: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), float(init_value)))

    def forward(self, x: Float[Tensor, '*tokens C']) -> Float[Tensor, '*tokens C']:
        """Scale every channel."""
        return x * self.gamma


class Block(nn.Module):
    """Pre-norm transformer block: attention, then perceptron, both with LayerScale.

    Args:
        dim: Channels of the tokens.
        num_heads: Number of attention heads.
        mlp_ratio: Hidden channels of the perceptron over ``dim``.
        qk_norm: Whether queries and keys are normalised.
        init_values: Initial value of both LayerScales. Small values keep a deep,
            fine-tuned stack near the identity; 1 learns faster from scratch.
        norm_eps: Epsilon of the two norms over tokens (not of the query-key norms).

    Source: Oquab et al., DINOv2, section 5; Wang et al., VGGT, section 3.2.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        qk_norm: bool = False,
        init_values: float = 0.01,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=norm_eps)
        self.attn = Attention(dim, num_heads, qk_norm)
        self.ls1 = LayerScale(dim, init_values)
        self.norm2 = nn.LayerNorm(dim, eps=norm_eps)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.ls2 = LayerScale(dim, init_values)

    def forward(
        self, x: Float[Tensor, 'B N C'], rotary: RotaryTable | None = None
    ) -> Float[Tensor, 'B N C']:
        """Give the tokens after one block."""
        x = x + self.ls1(self.attn(self.norm1(x), rotary))
        return x + self.ls2(self.mlp(self.norm2(x)))


def init_transformer(module: nn.Module) -> None:
    """Initialise the linear layers below a module: weights N(0, 0.02), no bias."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
