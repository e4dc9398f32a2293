"""The deformable-attention pixel decoder of mmdet, with this house's hand-over."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from mmcv.ops import MultiScaleDeformableAttention
from mmdet.models.layers import MSDeformAttnPixelDecoder as HostPixelDecoder
from mmengine.config import ConfigDict
from torch import Tensor, nn

from mmp3d.registry import MODELS
from mmp3d.structures import PixelFeatures

# The encoder reads the three coarser maps; the finest one joins after it, FPN-like.
_NUM_ENCODER_LEVELS = 3


@MODELS.register_module()
class MSDeformAttnPixelDecoder(HostPixelDecoder):
    """Refine a four-map pyramid with deformable attention.

    Map sizes are free: neighbouring levels need not differ by exactly two.

    Args:
        in_channels: Channels of the four maps, fine to coarse.
        channels: Channels of the encoder and of the handed-on pyramid.
        mask_channels: Channels of the per-pixel embedding.
        num_layers: Encoder layers.
        num_heads: Attention heads; must divide ``channels``.
        num_points: Sampled points per head and level.
        feedforward_channels: Width of the encoder's feed-forward networks.
        num_groups: Groups of the group norms; must divide ``channels``.
        dropout: Dropout of the encoder.

    Raises:
        ValueError: If there are not four maps or ``channels`` cannot be divided.

    Source: Cheng et al., Masked-attention Mask Transformer for Universal Image
    Segmentation, section 3.2.2; Zhu et al., Deformable DETR, section 4.1.

    Differs: The host draws the encoder's matrices from a normal distribution; the
    paper's code, and this, from a uniform one (both Xavier).
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int = 256,
        mask_channels: int = 256,
        num_layers: int = 6,
        num_heads: int = 8,
        num_points: int = 4,
        feedforward_channels: int = 1024,
        num_groups: int = 32,
        dropout: float = 0.0,
    ) -> None:
        _check_sizes(in_channels, channels, num_heads, num_groups)
        layer = {
            'self_attn_cfg': {
                'embed_dims': channels,
                'num_heads': num_heads,
                'num_levels': _NUM_ENCODER_LEVELS,
                'num_points': num_points,
                'dropout': dropout,
                'batch_first': True,
            },
            'ffn_cfg': {
                'embed_dims': channels,
                'feedforward_channels': feedforward_channels,
                'ffn_drop': dropout,
            },
        }
        super().__init__(
            in_channels=list(in_channels),
            # They cancel: reference points are cell centres relative to the map.
            strides=[4, 8, 16, 32],
            feat_channels=channels,
            out_channels=mask_channels,
            num_outs=_NUM_ENCODER_LEVELS,
            norm_cfg={'type': 'GN', 'num_groups': num_groups},
            encoder=ConfigDict(num_layers=num_layers, layer_cfg=layer),
            positional_encoding={'num_feats': channels // 2, 'normalize': True},
        )
        self.init_weights()

    def init_weights(self) -> None:
        """Start as the published training did."""
        super().init_weights()
        for parameter in self.encoder.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        for module in self.encoder.modules():
            if isinstance(module, MultiScaleDeformableAttention):
                module.init_weights()

    def forward(self, pyramid: tuple[Float[Tensor, 'B _ _ _'], ...]) -> PixelFeatures:
        """Hand on the per-pixel embedding and the memories of the queries.

        Args:
            pyramid: Four maps, fine to coarse. Computed in single precision whatever
                their type: the sampling positions need it.

        Raises:
            ValueError: If there are not four maps.
        """
        if len(pyramid) != self.num_input_levels:
            raise ValueError(
                f'the pixel decoder expects {self.num_input_levels} maps, fine to '
                f'coarse, got {len(pyramid)}. Give it the pyramid of the neck.'
            )
        with torch.autocast(pyramid[0].device.type, enabled=False):
            mask_features, levels = super().forward(
                [level.float() for level in pyramid]
            )
        return PixelFeatures(mask_features, tuple(levels))


def _check_sizes(
    in_channels: Sequence[int], channels: int, num_heads: int, num_groups: int
) -> None:
    if len(in_channels) != _NUM_ENCODER_LEVELS + 1:
        raise ValueError(
            f'in_channels of the pixel decoder must name {_NUM_ENCODER_LEVELS + 1} '
            f'maps, fine to coarse, got {tuple(in_channels)}'
        )
    for name, divisor in (('num_heads', num_heads), ('num_groups', num_groups)):
        if channels % divisor:
            raise ValueError(
                f'channels={channels} of the pixel decoder must be divisible by '
                f'{name}={divisor}'
            )
    if channels % 4:
        raise ValueError(
            f'channels={channels} of the pixel decoder must be divisible by 4: sine '
            'and cosine of two axes'
        )
