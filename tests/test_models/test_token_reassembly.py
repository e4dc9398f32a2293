"""Maps of four resolutions from tokens of one."""

from __future__ import annotations

import pytest
import torch

from mmp3d.models.layers import TokenReassembly


def test_sizes_of_the_four_maps():
    part = TokenReassembly(6, widths=(4, 8, 12, 16))
    maps = part.reassemble([torch.randn(2, 15, 6)] * 4, (3, 5))
    shapes = [tuple(plane.shape) for plane in maps]
    assert shapes == [(2, 4, 12, 20), (2, 8, 6, 10), (2, 12, 3, 5), (2, 16, 2, 3)]


def test_token_order_is_row_by_row():
    part = TokenReassembly(4, widths=(4, 4, 4, 4))
    tokens = torch.zeros(1, 15, 4)
    changed = tokens.clone()
    changed[0, 1 * 5 + 3, 0] = 1.0  # row 1, column 3
    before = part.reassemble([tokens] * 4, (3, 5))[2]
    after = part.reassemble([changed] * 4, (3, 5))[2]
    cells = (before != after).any(dim=1)[0].nonzero().tolist()
    assert cells == [[1, 3]]


def test_needs_four_channel_numbers():
    with pytest.raises(ValueError, match='needs four channel numbers'):
        TokenReassembly(4, widths=(4, 4, 4))


def test_needs_four_layers():
    part = TokenReassembly(4, widths=(4, 4, 4, 4))
    with pytest.raises(ValueError, match='tokens of four layers, got 3'):
        part.reassemble([torch.zeros(1, 6, 4)] * 3, (2, 3))
