"""Sizes of images and patch grids as plain numbers, also while a model is traced."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def image_size(images: Float[Tensor, '*batch H W']) -> tuple[int, int]:
    """Give (height, width); an exported model has it as a constant."""
    return int(images.shape[-2]), int(images.shape[-1])


def patch_grid(images: Float[Tensor, '*batch H W'], patch_size: int) -> tuple[int, int]:
    """Give (rows, columns) of the whole patches of an image."""
    height, width = image_size(images)
    return height // patch_size, width // patch_size
