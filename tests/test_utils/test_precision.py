"""Full precision inside mixed precision."""

from __future__ import annotations

import torch

from mmp3d.utils import without_autocast


def test_products_are_exact_again():
    matrix = torch.full((2, 2), 1.001)
    with torch.autocast('cpu', torch.bfloat16):
        assert (matrix @ matrix).dtype == torch.bfloat16
        with without_autocast(torch.device('cpu')):
            torch.testing.assert_close(matrix @ matrix, 2 * matrix * matrix)
    with without_autocast(torch.device('meta')):  # has no autocast
        assert (matrix @ matrix).dtype == torch.float32
