"""Resized learned embeddings and fixed waves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmp3d.models.layers import add_uv_embedding, bicubic_matrix, resize_grid, uv_waves


@pytest.mark.parametrize(
    ('have', 'want'),
    [((37, 37), (26, 32)), ((7, 7), (3, 5)), ((5, 4), (11, 9)), ((9, 9), (1, 20))],
)
def test_resized_grid_equals_the_library(have, want):
    grid = torch.randn(*have, 3)
    expected = F.interpolate(
        grid.permute(2, 0, 1)[None],
        size=want,
        mode='bicubic',
        antialias=True,
        align_corners=False,
    )[0].permute(1, 2, 0)
    torch.testing.assert_close(resize_grid(grid, want), expected, atol=1e-5, rtol=0)


def test_rows_of_the_matrix_sum_to_one():
    np.testing.assert_allclose(bicubic_matrix(37, 26).sum(axis=1), 1.0, atol=1e-6)


def test_equal_size_gives_the_grid_itself():
    grid = torch.randn(3, 4, 2)
    assert resize_grid(grid, (3, 4)) is grid


def test_changed_weights_change_the_result_and_get_a_gradient():
    grid = torch.randn(4, 4, 2, requires_grad=True)
    before = resize_grid(grid, (2, 3)).detach().clone()
    grid.data.mul_(2)  # what an averaged model does: no version counter moves
    after = resize_grid(grid, (2, 3))
    torch.testing.assert_close(after, 2 * before)
    after.sum().backward()
    assert grid.grad.abs().min() > 0


def test_resize_ignores_autocast():
    grid = torch.randn(5, 5, 2)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        inside = resize_grid(grid, (3, 4))
    torch.testing.assert_close(inside, resize_grid(grid, (3, 4)), atol=0, rtol=0)


def test_resize_after_inference_mode_still_trains():
    with torch.inference_mode():
        resize_grid(torch.randn(6, 6, 1), (5, 3))
    grid = torch.randn(6, 6, 1, requires_grad=True)
    resize_grid(grid, (5, 3)).sum().backward()
    assert grid.grad is not None


def test_waves_by_hand():
    # Four channels: one frequency, 1. A square of diagonal 2 spans +-sqrt(1/2);
    # two cells have their centres at half of that.
    along_x, along_y = uv_waves(4, height=1, width=2, aspect=1.0)
    u = math.sqrt(0.5) / 2
    np.testing.assert_allclose(
        along_x, 0.1 * np.array([[math.sin(-u), math.sin(u)], [math.cos(u)] * 2]), 1e-6
    )
    np.testing.assert_allclose(along_y, [[0.0], [0.1]], atol=1e-7)


def test_first_half_waves_along_the_columns():
    maps = add_uv_embedding(torch.zeros(2, 8, 3, 5), aspect=5 / 3)
    assert (maps[:, :4] == maps[:, :4, :1]).all()
    assert (maps[:, 4:] == maps[..., :1][:, 4:]).all()
    assert (maps[0] == maps[1]).all()


def test_cached_waves_cannot_be_written():
    with pytest.raises(ValueError, match='read-only'):
        uv_waves(4, 1, 2, 1.0)[0][0, 0] = 1.0


def test_uv_channels_must_be_a_multiple_of_four():
    with pytest.raises(ValueError, match='divisible by 4, got 6'):
        add_uv_embedding(torch.zeros(1, 6, 2, 2), aspect=1.0)
