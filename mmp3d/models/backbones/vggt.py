"""VGGT: geometry of a few views by alternating attention. Start reading at ``VGGT``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mmp3d.models.layers import (
    Block,
    RotaryTable,
    image_size,
    init_transformer,
    patch_grid,
    patch_positions,
    rotary_table,
    run,
)
from mmp3d.registry import MODELS
from mmp3d.structures import CameraBatch, GeometryFeatures

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


@MODELS.register_module()
class VGGT(nn.Module):
    """Depth, a feature pyramid and the camera of the first view.

    A part whose parameters are all frozen runs without a gradient, to save memory.

    Args:
        input_width: Width in pixels that images are resized to, a multiple of
            ``patch_size``. The height follows, rounded to whole patches.
        patch_size: Edge of a patch in pixels.
        embed_dim: Channels of the patch tokens.
        depth: Number of pairs of a frame block and a global block.
        num_heads: Attention heads of a block.
        num_register_tokens: Register tokens beside the camera token.
        taps: The four pairs whose tokens the heads read, early to late; the last one
            must be the last pair.
        init_values: Initial LayerScale of the blocks.
        patch_embed: What turns images into tokens (``DINOv2``).
        depth_head: What turns tokens into depth (``DPTHead``).
        token_pyramid: What turns tokens into a feature pyramid (``TokenPyramid``).
        camera_head: What turns camera tokens into poses (``CameraHead``); ``None``
            leaves it out.
        activation_checkpoint: Recompute the blocks and both dense heads in the backward
            pass to save memory.

    Source: Wang et al., VGGT: Visual Geometry Grounded Transformer, section 3.
    """

    def __init__(
        self,
        patch_embed: dict,
        depth_head: dict,
        token_pyramid: dict,
        camera_head: dict | None = None,
        input_width: int = 448,
        patch_size: int = 14,
        embed_dim: int = 1024,
        depth: int = 24,
        num_heads: int = 16,
        num_register_tokens: int = 4,
        taps: Sequence[int] = (4, 11, 17, 23),
        init_values: float = 0.01,
        activation_checkpoint: bool = False,
    ) -> None:
        super().__init__()
        if input_width % patch_size:
            raise ValueError(
                f'input_width must be a multiple of patch_size {patch_size}, got '
                f'{input_width}'
            )
        self.input_width = input_width
        self.patch_size = patch_size
        self.activation_checkpoint = activation_checkpoint
        self.aggregator = Aggregator(
            patch_embed=_given('patch_embed', patch_embed, patch_size=patch_size),
            embed_dim=embed_dim,
            depth=depth,
            num_heads=num_heads,
            num_register_tokens=num_register_tokens,
            taps=taps,
            init_values=init_values,
            activation_checkpoint=activation_checkpoint,
        )
        width = 2 * embed_dim  # frame and global tokens side by side
        self.depth_head = MODELS.build(
            _given('depth_head', depth_head, in_channels=width, patch_size=patch_size)
        )
        self.token_pyramid = MODELS.build(
            _given('token_pyramid', token_pyramid, in_channels=width)
        )
        self.camera_head = (
            None
            if camera_head is None
            else MODELS.build(_given('camera_head', camera_head, dim=width))
        )

    def forward(self, inputs: CameraBatch) -> GeometryFeatures:
        """Give what is known of the first view, seen together with the others."""
        images = resize_to_patches(inputs.images, self.input_width, self.patch_size)
        with _no_grad_if_frozen(self.aggregator):
            layers = self.aggregator(images)
        grid = patch_grid(images, self.patch_size)
        patches = [layer[:, 0, self.aggregator.first_patch :] for layer in layers]
        recompute = self.activation_checkpoint
        depth = run(self.depth_head, patches, grid, recompute=recompute)
        return GeometryFeatures(
            pyramid=run(self.token_pyramid, patches, grid, recompute=recompute),
            depth_pyramid=depth.pyramid,
            depth=depth.depth,
            pose_encoding=self._pose(layers[-1][:, :, 0]),
        )

    def _pose(
        self, camera_tokens: Float[Tensor, 'B V C']
    ) -> Float[Tensor, 'B 9'] | None:
        if self.camera_head is None:
            return None
        with _no_grad_if_frozen(self.camera_head):
            return self.camera_head(camera_tokens)[-1][:, 0]


class Aggregator(nn.Module):
    """Let tokens look around within their view and across views, in turns.

    Every view has one camera token and some registers, in two variants: one for the
    first view, one for all others.

    Args:
        patch_embed: What turns images into patch tokens of ``embed_dim`` channels.
        embed_dim: Channels of the tokens.
        depth: Number of pairs of a frame block and a global block.
        num_heads: Attention heads of a block.
        num_register_tokens: Register tokens beside the camera token.
        taps: The pairs whose tokens are given back.
        init_values: Initial LayerScale.
        activation_checkpoint: Recompute the blocks in the backward pass.

    Source: Wang et al., VGGT, section 3.2.
    """

    def __init__(
        self,
        patch_embed: dict,
        embed_dim: int = 1024,
        depth: int = 24,
        num_heads: int = 16,
        num_register_tokens: int = 4,
        taps: Sequence[int] = (4, 11, 17, 23),
        init_values: float = 0.01,
        activation_checkpoint: bool = False,
    ) -> None:
        super().__init__()
        self.taps = _checked_taps(taps, depth)
        # One camera token and the registers come before the patches.
        self.first_patch = 1 + num_register_tokens
        self.head_dim = embed_dim // num_heads
        self.activation_checkpoint = activation_checkpoint
        self.patch_embed = MODELS.build(
            _given(
                'patch_embed',
                patch_embed,
                embed_dim=embed_dim,
                activation_checkpoint=activation_checkpoint,
            )
        )
        self.patch_size = self.patch_embed.patch_size
        self.camera_token = nn.Parameter(torch.zeros(1, 2, 1, embed_dim))
        self.register_token = nn.Parameter(
            torch.zeros(1, 2, num_register_tokens, embed_dim)
        )
        self.frame_blocks, self.global_blocks = (
            nn.ModuleList(
                Block(embed_dim, num_heads, qk_norm=True, init_values=init_values)
                for _ in range(depth)
            )
            for _ in range(2)
        )
        for part in (self.frame_blocks, self.global_blocks):
            init_transformer(part)
        nn.init.normal_(self.camera_token, std=1e-6)
        nn.init.normal_(self.register_token, std=1e-6)

    def forward(
        self, images: Float[Tensor, 'B V 3 H W']
    ) -> tuple[Float[Tensor, 'B V N C'], ...]:
        """Give the tokens of the tapped pairs, frame and global channels side by side.

        Args:
            images: RGB in 0..1; both sides a multiple of the patch size.
        """
        num_views = int(images.shape[1])
        tokens = self._embed(images)  # B V N C
        grid = patch_grid(images, self.patch_size)
        in_frame = rotary_table(
            patch_positions(grid, self.first_patch, images.device), self.head_dim
        )
        in_all = RotaryTable(
            in_frame.cos.repeat(num_views, 1), in_frame.sin.repeat(num_views, 1)
        )
        tapped = []
        for index, blocks in enumerate(
            zip(self.frame_blocks, self.global_blocks, strict=True)
        ):
            frame_block, global_block = blocks
            frame = self._run(frame_block, tokens.flatten(0, 1), in_frame)
            frame = frame.unflatten(0, (-1, num_views))
            everywhere = self._run(global_block, frame.flatten(1, 2), in_all)
            tokens = everywhere.unflatten(1, (num_views, -1))
            # A small model may tap one pair more than once.
            for _ in range(self.taps.count(index)):
                tapped.append(torch.cat([frame, tokens], dim=-1))
        return tuple(tapped)

    def _embed(self, images: Float[Tensor, 'B V 3 H W']) -> Float[Tensor, 'B V N C']:
        """Give camera, register and patch tokens of every view."""
        batch_size, num_views = map(int, images.shape[:2])
        # Not buffers: a model built on the meta device would lose their values.
        mean, std = (
            images.new_tensor(v)[:, None, None] for v in (IMAGE_MEAN, IMAGE_STD)
        )
        with _no_grad_if_frozen(self.patch_embed):
            patches = self.patch_embed(((images - mean) / std).flatten(0, 1)).patches
        special = torch.cat([self.camera_token, self.register_token], dim=2)
        first, others = special.expand(batch_size, -1, -1, -1).split(1, dim=1)
        special = torch.cat([first, others.expand(-1, num_views - 1, -1, -1)], dim=1)
        return torch.cat([special, patches.unflatten(0, (-1, num_views))], dim=2)

    def _run(
        self, block: Block, tokens: Float[Tensor, 'B N C'], rotary: RotaryTable
    ) -> Float[Tensor, 'B N C']:
        return run(block, tokens, rotary, recompute=self.activation_checkpoint)


def resize_to_patches(
    images: Float[Tensor, 'B V 3 H W'], width: int, patch_size: int
) -> Float[Tensor, 'B V 3 h w']:
    """Resize images to a width and to a height of whole patches, bilinearly.

    The height is rounded half to even, so the aspect changes by up to half a patch.

    Args:
        images: RGB.
        width: Width wanted in pixels.
        patch_size: Edge of a patch in pixels.

    Raises:
        ValueError: If the result would be less than one patch high.
    """
    have_height, have_width = image_size(images)
    height = patch_size * round(have_height * width / have_width / patch_size)
    if not height:
        raise ValueError(
            f'an image of {have_height}x{have_width} pixels (height x width) is less '
            f'than one patch of {patch_size} pixels high at width {width}. Crop it '
            'to a less extreme aspect ratio.'
        )
    resized = F.interpolate(
        images.flatten(0, 1), (height, width), mode='bilinear', align_corners=False
    )
    return resized.unflatten(0, images.shape[:2])


def _no_grad_if_frozen(module: nn.Module) -> AbstractContextManager:
    trained = any(parameter.requires_grad for parameter in module.parameters())
    return torch.set_grad_enabled(torch.is_grad_enabled() and trained)


def _given(name: str, part: dict, **facts: int) -> dict:
    """Complete the config of a part by what the whole knows already.

    Raises:
        ValueError: If the part was given another value.
    """
    for key, value in facts.items():
        if part.get(key, value) != value:
            raise ValueError(
                f'{name}.{key} must be {value} to fit the VGGT around it, got '
                f'{part[key]}. Leave it out: it follows from the other sizes.'
            )
    return {**part, **facts}


def _checked_taps(taps: Sequence[int], depth: int) -> tuple[int, ...]:
    taps = tuple(taps)
    ascending = all(a < b for a, b in pairwise(taps))
    # Fewer pairs than heads want: one pair may be read twice.
    if depth < len(taps):
        ascending = list(taps) == sorted(taps)
    if not taps or not ascending or taps[0] < 0 or taps[-1] != depth - 1:
        raise ValueError(
            f'taps must ascend from 0 or later to the last pair {depth - 1} (repeated '
            f'only where there are fewer pairs than taps), got {taps}. Later pairs '
            'would be dead weight: reduce depth instead.'
        )
    return taps
