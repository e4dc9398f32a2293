"""Rotary embedding over rows and columns."""

from __future__ import annotations

import math

import pytest
import torch

from mmp3d.models.layers import patch_positions, rotary_table, rotate

CPU = torch.device('cpu')


def test_special_tokens_come_first_at_zero_and_patches_count_from_one():
    assert patch_positions((2, 3), 1, CPU).tolist() == [
        [0, 0],
        [1, 1],
        [1, 2],
        [1, 3],
        [2, 1],
        [2, 2],
        [2, 3],
    ]


def test_rotation_by_hand():
    # Eight channels: two angles per axis, 1 and 100 ** -0.5 = 0.1 per position.
    table = rotary_table(torch.tensor([[2, 3]]), channels=8)
    x = torch.zeros(1, 1, 1, 8)
    x[..., 0] = 1.0  # rows, first pair (channels 0 and 2)
    x[..., 5] = 1.0  # columns, second pair (channels 5 and 7)
    expected = [math.cos(2), 0, math.sin(2), 0, 0, math.cos(0.3), 0, math.sin(0.3)]
    torch.testing.assert_close(rotate(x, table)[0, 0, 0], torch.tensor(expected))


def test_position_zero_changes_nothing():
    x = torch.randn(2, 3, 4, 8)
    table = rotary_table(torch.zeros(4, 2, dtype=torch.long), 8)
    torch.testing.assert_close(rotate(x, table), x)


def test_lengths_stay():
    x = torch.randn(2, 3, 7, 16)
    table = rotary_table(patch_positions((2, 3), 1, CPU), 16)
    torch.testing.assert_close(rotate(x, table).norm(dim=-1), x.norm(dim=-1))


def test_products_depend_on_the_distance_only():
    q, k = torch.randn(2, 1, 1, 1, 16)

    def product(of: tuple[int, int], to: tuple[int, int]) -> torch.Tensor:
        turned_q = rotate(q, rotary_table(torch.tensor([of]), 16))
        turned_k = rotate(k, rotary_table(torch.tensor([to]), 16))
        return (turned_q * turned_k).sum()

    torch.testing.assert_close(product((1, 2), (4, 3)), product((5, 9), (8, 10)))


def test_one_table_per_sample():
    x = torch.randn(2, 3, 4, 8)
    positions = torch.randint(0, 9, (2, 4, 2))
    together = rotate(x, rotary_table(positions, 8))
    for i in range(2):
        alone = rotate(x[i : i + 1], rotary_table(positions[i], 8))
        torch.testing.assert_close(together[i : i + 1], alone)


def test_channels_must_be_a_multiple_of_four():
    with pytest.raises(ValueError, match='divisible by 4, got 6'):
        rotary_table(torch.zeros(1, 2, dtype=torch.long), 6)
