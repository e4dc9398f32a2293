"""The masked query decoder that also attends to depth features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from mmdet.models.layers import MLP, SinePositionalEncoding
from torch import Tensor, nn
from torch.nn import functional as F

from mmp3d.models.layers.query_layers import QueryAttention, QueryFeedForward
from mmp3d.registry import MODELS
from mmp3d.structures import PixelFeatures, QueryPredictions
from mmp3d.utils import check_positive


@dataclass(frozen=True)
class DecodedQueries:
    """What the decoder knows at its end and on the way.

    Attributes:
        final: Predictions of the last layer.
        auxiliary: Predictions of the initial queries and of every earlier layer.
        queries: The last layer's queries after the decoder's norm.
    """

    final: QueryPredictions
    auxiliary: tuple[QueryPredictions, ...]
    queries: Float[Tensor, 'B Q C']


@dataclass(frozen=True)
class LevelMemory:
    """One level as the queries read it: cells in a row, keys with positions added."""

    size: tuple[int, int]
    image_keys: Float[Tensor, 'B N C']
    image_values: Float[Tensor, 'B N C']
    depth_keys: Float[Tensor, 'B N C']
    depth_values: Float[Tensor, 'B N C']


class DepthAwareLayer(nn.Module):
    """Read the image, read the depth, talk to each other, think.

    Args:
        channels: Channels of queries and memories.
        num_heads: Attention heads.
        feedforward_channels: Width of the feed-forward network.
    """

    def __init__(
        self, channels: int, num_heads: int, feedforward_channels: int
    ) -> None:
        super().__init__()
        self.image_attention = QueryAttention(channels, num_heads)
        self.depth_attention = QueryAttention(channels, num_heads)
        self.self_attention = QueryAttention(channels, num_heads)
        self.feedforward = QueryFeedForward(channels, feedforward_channels)

    def forward(
        self,
        queries: Float[Tensor, 'B Q C'],
        position: Float[Tensor, '1 Q C'],
        memory: LevelMemory,
        attended: Bool[Tensor, 'B Q N'],
    ) -> Float[Tensor, 'B Q C']:
        """Update the queries from one level; both attentions see the same cells."""
        queries = self.image_attention(
            queries, position, memory.image_keys, memory.image_values, attended
        )
        queries = self.depth_attention(
            queries, position, memory.depth_keys, memory.depth_values, attended
        )
        queries = self.self_attention(queries, position, queries + position, queries)
        return self.feedforward(queries)


@MODELS.register_module()
class DepthAwareDecoder(nn.Module):
    """Decode queries into classes and masks, level by level, coarse to fine.

    Layer ``i`` reads level ``i`` modulo the number of levels, only where the mask
    predicted before it is positive.

    Args:
        num_classes: Classes, void included; the logits have one column more, for 'no
            object'.
        channels: Channels of queries, image levels and depth levels.
        mask_channels: Channels of the per-pixel embedding.
        num_queries: Number of queries.
        num_layers: Decoder layers.
        num_heads: Attention heads; must divide ``channels``.
        feedforward_channels: Width of the feed-forward networks.
        num_levels: Levels that are read in turn.

    Raises:
        ValueError: If ``channels`` is not divisible by four, or there is no query.

    Source: Cheng et al., Masked-attention Mask Transformer for Universal Image
    Segmentation, section 3.2; second cross-attention: Zhang et al., Uni-3D, section 3.

    Differs: The released checkpoints also hold a fourth attention and a depth head
    per query that no output depends on; they are not built.
    """

    def __init__(
        self,
        num_classes: int,
        channels: int = 256,
        mask_channels: int = 256,
        num_queries: int = 100,
        num_layers: int = 9,
        num_heads: int = 8,
        feedforward_channels: int = 2048,
        num_levels: int = 3,
    ) -> None:
        super().__init__()
        check_positive('num_queries', num_queries)
        if channels % 4:
            raise ValueError(
                f'channels={channels} of the decoder must be divisible by 4: sine and '
                'cosine of two axes'
            )
        self.query_content = nn.Embedding(num_queries, channels)
        self.query_position = nn.Embedding(num_queries, channels)
        self.image_level = nn.Embedding(num_levels, channels)
        self.depth_level = nn.Embedding(num_levels, channels)
        self.position = SinePositionalEncoding(channels // 2, normalize=True)
        self.layers = nn.ModuleList(
            DepthAwareLayer(channels, num_heads, feedforward_channels)
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(channels)
        self.class_embed = nn.Linear(channels, num_classes + 1)
        self.mask_embed = MLP(channels, channels, mask_channels, num_layers=3)

    def forward(
        self,
        pixels: PixelFeatures,
        depth_levels: tuple[Float[Tensor, 'B C _ _'], ...],
    ) -> DecodedQueries:
        """Decode the queries of a batch of images.

        Args:
            pixels: Per-pixel embedding, and the image levels, coarse to fine.
            depth_levels: Depth features of the same sizes as the image levels.

        Raises:
            ValueError: If the levels do not fit.
        """
        self._check_levels(pixels.pyramid, depth_levels)
        memories = [
            self._remember(*level)
            for level in zip(
                pixels.pyramid,
                depth_levels,
                self.image_level.weight,
                self.depth_level.weight,
                strict=True,
            )
        ]
        content = self.query_content.weight.expand(len(pixels.mask_features), -1, -1)
        position = self.query_position.weight[None]
        queries = self.norm(content)
        predictions = [self._predict(queries, pixels.mask_features)]
        for i, layer in enumerate(self.layers):
            memory = memories[i % len(memories)]
            attended = attended_cells(predictions[-1].mask_logits, memory.size)
            content = layer(content, position, memory, attended)
            queries = self.norm(content)
            predictions.append(self._predict(queries, pixels.mask_features))
        return DecodedQueries(predictions[-1], tuple(predictions[:-1]), queries)

    def _remember(
        self, image: Tensor, depth: Tensor, image_level: Tensor, depth_level: Tensor
    ) -> LevelMemory:
        position = self.position(None, image[:1]).flatten(2).transpose(1, 2)  # 1 N C
        image_values = image.flatten(2).transpose(1, 2) + image_level
        depth_values = depth.flatten(2).transpose(1, 2) + depth_level
        return LevelMemory(
            size=(image.shape[-2], image.shape[-1]),
            image_keys=image_values + position,
            image_values=image_values,
            depth_keys=depth_values + position,
            depth_values=depth_values,
        )

    def _predict(self, queries: Tensor, mask_features: Tensor) -> QueryPredictions:
        mask_logits = torch.einsum(
            'bqc,bchw->bqhw', self.mask_embed(queries), mask_features
        )
        return QueryPredictions(self.class_embed(queries), mask_logits)

    def _check_levels(
        self, image_levels: tuple[Tensor, ...], depth_levels: tuple[Tensor, ...]
    ) -> None:
        image_shapes = [tuple(level.shape) for level in image_levels]
        depth_shapes = [tuple(level.shape) for level in depth_levels]
        expected = self.image_level.num_embeddings
        if len(image_shapes) != expected or image_shapes != depth_shapes:
            raise ValueError(
                f'the decoder expects {expected} image levels and depth levels of the '
                f'same shapes, got {image_shapes} and {depth_shapes}. Give the depth '
                'projector the sizes of the image levels, coarse to fine.'
            )


def attended_cells(
    mask_logits: Float[Tensor, 'B Q h w'], size: tuple[int, int]
) -> Bool[Tensor, 'B Q N']:
    """Find the cells of a level where a query's mask is at least one half.

    A query whose mask is empty at that level may look everywhere. No gradient.

    Args:
        mask_logits: Masks at any resolution.
        size: (height, width) of the level; its cells are returned in a row.
    """
    logits = F.interpolate(
        mask_logits.detach(), size, mode='bilinear', align_corners=False
    )
    attended = logits.flatten(2) >= 0
    return attended | ~attended.any(dim=-1, keepdim=True)
