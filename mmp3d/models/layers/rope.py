"""Rotary position embedding over rows and columns."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class RotaryTable:
    """Cosine and sine of every token's angles; made once, used by all blocks."""

    cos: Float[Tensor, '*batch N D']
    sin: Float[Tensor, '*batch N D']


def patch_positions(
    grid: tuple[int, int], num_special_tokens: int, device: torch.device
) -> Int[Tensor, 'N 2']:
    """Give (row, column) of every token: special tokens first, at (0, 0).

    Args:
        grid: (rows, columns) of the patch grid. Patches count from (1, 1).
        num_special_tokens: Tokens in front of the patches.
        device: Where the result lives.
    """
    rows, columns = (torch.arange(1, n + 1, device=device) for n in grid)
    patches = torch.stack(
        [rows[:, None].expand(grid), columns[None].expand(grid)], dim=-1
    ).flatten(0, 1)
    return torch.cat([patches.new_zeros(num_special_tokens, 2), patches])


def rotary_table(
    positions: Int[Tensor, '*batch N 2'], channels: int, frequency: float = 100.0
) -> RotaryTable:
    """Compute the angles: the first half of the channels turns with the row.

    Args:
        positions: (row, column) of every token.
        channels: Channels of one attention head, a multiple of 4.
        frequency: Base of the geometric series of wavelengths.

    Raises:
        ValueError: If the channels cannot be split into four equal parts.

    Source: Su et al., RoFormer, section 3.2.2; two axes as in Heo et al., Rotary
        Position Embedding for Vision Transformer, section 3.2 (axial).
    """
    if channels % 4:
        raise ValueError(
            f'rotary embedding needs head channels divisible by 4, got {channels}. '
            'Choose embed_dim / num_heads accordingly.'
        )
    half = channels // 2
    exponents = torch.arange(0, half, 2, device=positions.device).float() / half
    angles = positions.float()[..., None] / frequency**exponents  # *batch N 2 half/2
    angles = torch.cat([angles, angles], dim=-1).flatten(-2)
    return RotaryTable(angles.cos(), angles.sin())


def rotate(
    x: Float[Tensor, 'B heads N D'], table: RotaryTable
) -> Float[Tensor, 'B heads N D']:
    """Turn the channel pairs of queries or keys by the angles of their positions.

    Args:
        x: Queries or keys of every head.
        table: One table for the whole batch (``N D``) or one per sample (``B N D``).
    """
    first, second = x.unflatten(-1, (2, 2, -1)).unbind(-2)  # B heads N 2 D/4
    turned = torch.stack([-second, first], dim=-2).flatten(-3)
    cos, sin = (t.unsqueeze(-3) for t in (table.cos, table.sin))
    return (x * cos + turned * sin).to(x.dtype)
