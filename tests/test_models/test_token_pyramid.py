"""The feature pyramid made of tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from mmp3d.models.layers import uv_waves
from mmp3d.models.necks import TokenPyramid
from mmp3d.registry import MODELS


def test_sizes_and_channels():
    neck = TokenPyramid(8, out_channels=(3, 5, 6, 7))
    pyramid = neck([torch.randn(2, 15, 8) for _ in range(4)], (3, 5))
    shapes = [tuple(plane.shape) for plane in pyramid]
    assert shapes == [(2, 3, 12, 20), (2, 5, 6, 10), (2, 6, 3, 5), (2, 7, 2, 3)]


def test_level_three_is_norm_project_wave_unify():
    neck = TokenPyramid(8, out_channels=(3, 5, 6, 7))
    tokens = torch.randn(1, 6, 8)
    project = neck.projects[2].weight[..., 0, 0]
    plane = F.layer_norm(tokens, (8,))[0] @ project.T + neck.projects[2].bias
    along_x, along_y = (torch.tensor(w) for w in uv_waves(8, 2, 3, aspect=1.5))
    for row in range(2):
        for column in range(3):
            wave = torch.cat([along_x[:, column], along_y[:, row]])
            plane[row * 3 + column] += wave
    unify = neck.unify_layers[2].weight[..., 0, 0]
    expected = (plane @ unify.T + neck.unify_layers[2].bias).T.reshape(1, 6, 2, 3)
    torch.testing.assert_close(neck([tokens] * 4, (2, 3))[2], expected)


def test_each_level_reads_its_own_layer():
    neck = TokenPyramid(8, out_channels=(4, 4, 4, 4))
    tokens = [torch.randn(1, 6, 8) for _ in range(4)]
    before = neck(tokens, (2, 3))
    tokens[1] = torch.randn(1, 6, 8)
    after = neck(tokens, (2, 3))
    changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert changed == [False, True, False, False]


def test_hidden_channels_make_it_smaller():
    narrow = MODELS.build(
        {
            'type': 'TokenPyramid',
            'in_channels': 32,
            'out_channels': (4, 4, 4, 4),
            'hidden_channels': 8,
        }
    )
    assert narrow.resize_layers[0].weight.shape == (8, 8, 4, 4)
    assert narrow([torch.randn(1, 6, 32)] * 4, (2, 3))[0].shape == (1, 4, 8, 12)


def test_one_patch_is_enough():
    neck = TokenPyramid(8, out_channels=(3, 5, 6, 7))
    pyramid = neck([torch.randn(1, 1, 8)] * 4, (1, 1))
    assert [tuple(plane.shape[-2:]) for plane in pyramid] == [
        (4, 4),
        (2, 2),
        (1, 1),
        (1, 1),
    ]
