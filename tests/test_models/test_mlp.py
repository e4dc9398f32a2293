"""The two-layer perceptron."""

from __future__ import annotations

import math

import torch

from mmp3d.models.layers import Mlp


def test_activation_is_the_exact_gelu():
    mlp = Mlp(1, 1)
    for layer in (mlp.fc1, mlp.fc2):
        torch.nn.init.ones_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    expected = 0.7 * 0.5 * (1 + math.erf(0.7 / math.sqrt(2)))
    torch.testing.assert_close(mlp(torch.tensor([0.7])), torch.tensor([expected]))


def test_channels():
    assert Mlp(3, 5)(torch.zeros(2, 4, 3)).shape == (2, 4, 3)
    assert Mlp(3, 5, 7)(torch.zeros(2, 4, 3)).shape == (2, 4, 7)
