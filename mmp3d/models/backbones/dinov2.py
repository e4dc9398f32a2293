"""DINOv2: a vision transformer with register tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmp3d.models.layers import (
    Block,
    image_size,
    init_transformer,
    patch_grid,
    resize_grid,
    run,
)
from mmp3d.registry import MODELS


@dataclass(frozen=True)
class ImageTokens:
    """Normalised tokens of a batch of images."""

    cls: Float[Tensor, 'B C']
    registers: Float[Tensor, 'B R C']
    patches: Float[Tensor, 'B N C']


@MODELS.register_module()
class DINOv2(nn.Module):
    """Vision transformer with a class token and registers.

    Args:
        img_size: Edge in pixels of the square images that the position embedding was
            learned for; it is resized to other grids.
        patch_size: Edge of a patch in pixels.
        embed_dim: Channels of the tokens.
        depth: Number of blocks.
        num_heads: Attention heads of a block.
        num_register_tokens: Number of registers.
        mlp_ratio: Hidden channels of a block's perceptron over ``embed_dim``.
        init_values: Initial LayerScale.
        activation_checkpoint: Recompute the blocks in the backward pass to save memory.

    Source: Oquab et al., DINOv2; Darcet et al., Vision Transformers Need Registers.
    """

    def __init__(
        self,
        img_size: int = 518,
        patch_size: int = 14,
        embed_dim: int = 1024,
        depth: int = 24,
        num_heads: int = 16,
        num_register_tokens: int = 4,
        mlp_ratio: float = 4.0,
        init_values: float = 1.0,
        activation_checkpoint: bool = False,
    ) -> None:
        super().__init__()
        if img_size % patch_size:
            raise ValueError(
                f'DINOv2 img_size must be a multiple of patch_size {patch_size}, got '
                f'{img_size}'
            )
        self.patch_size = patch_size
        self.embed_dim = embed_dim
        self.learned_grid = img_size // patch_size
        self.activation_checkpoint = activation_checkpoint
        self.patch_embed = PatchEmbed(patch_size, embed_dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.pos_embed = nn.Parameter(
            torch.zeros(1, 1 + self.learned_grid**2, embed_dim)
        )
        self.register_tokens = nn.Parameter(
            torch.zeros(1, num_register_tokens, embed_dim)
        )
        self.blocks = nn.ModuleList(
            Block(
                embed_dim,
                num_heads,
                mlp_ratio=mlp_ratio,
                init_values=init_values,
                norm_eps=1e-6,
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(embed_dim, eps=1e-6)
        self._init_weights()

    def _init_weights(self) -> None:
        init_transformer(self)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.normal_(self.cls_token, std=1e-6)
        nn.init.normal_(self.register_tokens, std=1e-6)

    def forward(self, images: Float[Tensor, 'B 3 H W']) -> ImageTokens:
        """Give the normalised tokens.

        Args:
            images: Normalised RGB; both sides a multiple of ``patch_size``.
        """
        patches = self.patch_embed(images)
        batch_size = images.shape[0]
        cls = self.cls_token.expand(batch_size, -1, -1)
        registers = self.register_tokens.expand(batch_size, -1, -1)
        tokens = torch.cat([cls, patches], dim=1) + self.position_embedding(
            patch_grid(images, self.patch_size)
        )
        tokens = torch.cat([tokens[:, :1], registers, tokens[:, 1:]], dim=1)
        for block in self.blocks:
            tokens = run(block, tokens, recompute=self.activation_checkpoint)
        tokens = self.norm(tokens)
        first_patch = 1 + self.register_tokens.shape[1]
        return ImageTokens(
            tokens[:, 0], tokens[:, 1:first_patch], tokens[:, first_patch:]
        )

    def position_embedding(self, grid: tuple[int, int]) -> Float[Tensor, '1 N C']:
        """Give the position embedding of the class token and of a grid of patches.

        Args:
            grid: (rows, columns) of the patches.
        """
        side = self.learned_grid
        learned = self.pos_embed[0, 1:].unflatten(0, (side, side))
        patches = resize_grid(learned, grid).flatten(0, 1)
        return torch.cat([self.pos_embed[:, :1], patches[None]], dim=1)


class PatchEmbed(nn.Module):
    """Project every patch of an image to a token, row by row."""

    def __init__(self, patch_size: int, embed_dim: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv2d(3, embed_dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, images: Float[Tensor, 'B 3 H W']) -> Float[Tensor, 'B N C']:
        """Give the patch tokens.

        Raises:
            ValueError: If the image is not made of whole patches.
        """
        height, width = image_size(images)
        size = self.patch_size
        if height % size or width % size or not height or not width:
            raise ValueError(
                f'images must consist of whole patches of {size}x{size} pixels, got '
                f'{height}x{width}. Resize or pad them before the backbone.'
            )
        return self.proj(images).flatten(2).transpose(1, 2)
