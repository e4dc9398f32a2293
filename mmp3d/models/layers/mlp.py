"""The two-layer perceptron of a transformer block."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Mlp(nn.Module):
    """Linear, exact (erf) GELU, linear.

    Args:
        in_channels: Channels of the input.
        hidden_channels: Channels between the two layers.
        out_channels: Channels of the output; ``None`` = ``in_channels``.

    Source: Vaswani et al., Attention Is All You Need, section 3.3.
    """

    def __init__(
        self, in_channels: int, hidden_channels: int, out_channels: int | None = None
    ) -> None:
        super().__init__()
        self.fc1 = nn.Linear(in_channels, hidden_channels)
        self.fc2 = nn.Linear(hidden_channels, out_channels or in_channels)

    def forward(self, x: Float[Tensor, '*tokens C']) -> Float[Tensor, '*tokens _']:
        """Transform every token on its own."""
        return self.fc2(F.gelu(self.fc1(x)))
