"""Position embeddings of image grids: learned ones, resized, and fixed waves."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mmp3d.models.layers.sizes import image_size
from mmp3d.utils import without_autocast


def resize_grid(
    values: Float[Tensor, 'H W C'], size: tuple[int, int]
) -> Float[Tensor, 'h w C']:
    """Resize a learned grid: bicubic, antialiased, in float32.

    Resizing is linear and acts on each axis alone, so it is two small matrix products.
    The matrices depend on the sizes only: they are cached, the learned values never
    are, so no weight update and no move to another device can leave a stale result.

    Args:
        values: The learned grid.
        size: (rows, columns) wanted.
    """
    have_rows, have_columns = (int(n) for n in values.shape[:2])
    if (have_rows, have_columns) == tuple(size):
        return values
    rows, columns = (
        torch.tensor(bicubic_matrix(have, want), device=values.device)
        for have, want in ((have_rows, size[0]), (have_columns, size[1]))
    )
    with without_autocast(values.device):
        resized = torch.einsum('hH,HWC->hWC', rows, values.float())
        resized = torch.einsum('wW,hWC->hwC', columns, resized)
    return resized.to(values.dtype)


@lru_cache(maxsize=64)
def bicubic_matrix(in_size: int, out_size: int) -> Float[np.ndarray, 'out in']:
    """Give the matrix that resizes one axis, bicubic with antialiasing.

    It equals ``torch.nn.functional.interpolate(mode='bicubic', antialias=True)``.

    Source: Keys, Cubic Convolution Interpolation for Digital Image Processing, with
        a = -0.5; the kernel is widened by the scale where the axis shrinks.
    """
    scale = in_size / out_size
    widening = max(scale, 1.0)
    centres = scale * (np.arange(out_size) + 0.5)
    # Whole samples inside the support, as the antialiased kernels count them.
    first = np.maximum(np.floor(centres - 2 * widening + 0.5), 0)[:, None]
    last = np.minimum(np.floor(centres + 2 * widening + 0.5), in_size)[:, None]
    samples = np.arange(in_size)[None]
    weights = _keys_cubic((samples - centres[:, None] + 0.5) / widening)
    weights = np.where((samples >= first) & (samples < last), weights, 0.0)
    matrix = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    matrix.flags.writeable = False
    return matrix


def _keys_cubic(distance: np.ndarray) -> np.ndarray:
    x = np.abs(distance)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def add_uv_embedding(
    maps: Float[Tensor, 'B C h w'], aspect: float
) -> Float[Tensor, 'B C h w']:
    """Add waves of the image position to feature maps.

    Args:
        maps: Feature maps; the channels must be a multiple of 4.
        aspect: Width over height of the image that the maps describe.
    """
    horizontal, vertical = (
        torch.tensor(wave, device=maps.device, dtype=maps.dtype)
        for wave in uv_waves(int(maps.shape[1]), *image_size(maps), aspect)
    )
    left, right = maps.chunk(2, dim=1)
    return torch.cat([left + horizontal[:, None], right + vertical[:, :, None]], dim=1)


@lru_cache(maxsize=64)
def uv_waves(
    channels: int, height: int, width: int, aspect: float
) -> tuple[Float[np.ndarray, 'half w'], Float[np.ndarray, 'half h']]:
    """Give the waves along the columns and along the rows.

    The image spans a rectangle of diagonal 2 with the given aspect; the first half of
    the channels waves along x, the second along y; each half is sines, then cosines.

    Args:
        channels: Channels of the embedding, a multiple of 4.
        height: Rows of the map.
        width: Columns of the map.
        aspect: Width over height of the image.

    Raises:
        ValueError: If ``channels`` is no multiple of 4.

    Source: Wang et al., VGGT, released depth head (UV embedding, ratio 0.1).
    """
    if channels % 4:
        raise ValueError(
            f'UV embedding needs channels divisible by 4, got {channels}. Choose the '
            'out_channels and features of the head accordingly.'
        )
    quarter = channels // 4
    frequencies = 100.0 ** (-np.arange(quarter) / quarter)
    diagonal = np.hypot(aspect, 1.0)
    return (
        _waves(width, aspect / diagonal, frequencies),
        _waves(height, 1.0 / diagonal, frequencies),
    )


def _waves(cells: int, extent: float, frequencies: np.ndarray) -> np.ndarray:
    border = extent * (cells - 1) / cells
    angles = np.linspace(-border, border, cells) * frequencies[:, None]
    waves = 0.1 * np.concatenate([np.sin(angles), np.cos(angles)])
    waves = waves.astype(np.float32)
    waves.flags.writeable = False
    return waves
