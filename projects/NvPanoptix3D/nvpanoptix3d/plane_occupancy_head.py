"""Multi-plane occupancy: which depth planes of a pixel are occupied, seen or not."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mmp3d.models.layers.batch_norm import BatchNorm2d
from mmp3d.registry import MODELS


def _conv_norm(in_channels: int, channels: int, kernel_size: int) -> nn.Sequential:
    conv = nn.Conv2d(
        in_channels, channels, kernel_size, padding=kernel_size // 2, bias=False
    )
    return nn.Sequential(OrderedDict(conv=conv, bn=BatchNorm2d(channels)))


class UpProjection(nn.Module):
    """Resize a map (corners aligned), then a residual block of convolutions.

    Args:
        in_channels: Channels before.
        channels: Channels after.

    Source: Laina et al., Deeper Depth Prediction with Fully Convolutional Residual
    Networks, section 3.1 (up-projection); bilinear as in Hu et al., Revisiting Single
    Image Depth Estimation, section 3.1.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.widen = _conv_norm(in_channels, channels, 5)
        self.refine = _conv_norm(channels, channels, 3)
        self.skip = _conv_norm(in_channels, channels, 5)

    def forward(
        self, features: Float[Tensor, 'B C0 h0 w0'], size: tuple[int, int]
    ) -> Float[Tensor, 'B C h w']:
        """Bring ``features`` to ``size`` = (height, width)."""
        features = F.interpolate(features, size, mode='bilinear', align_corners=True)
        # One convolution for both ways: with few output channels twice as fast, and the
        # large resized map is read once.
        weight = torch.cat((self.widen.conv.weight, self.skip.conv.weight))
        wide, skipped = F.conv2d(features, weight, padding=2).chunk(2, dim=1)
        main = self.refine(self.widen.bn(wide).relu())
        return (main + self.skip.bn(skipped)).relu()


@MODELS.register_module()
class PlaneOccupancyHead(nn.Module):
    """Predict for every cell of a reduced image plane which depth planes are occupied.

    Two ways lead from the pyramid to a common fine size: a decoder from the coarsest
    map, and one projection per map; their features meet in the prediction.

    Args:
        in_channels: Channels of the pyramid's maps, fine to coarse.
        num_planes: Depth planes of equal thickness between zero and the farthest depth.
        plane_size: (height, width) of the reduced plane.
        decoder_channels: Channels of the decoder: after its entry and after each of
            its four steps.
        fused_channels: Channels that each map contributes directly.
        fine_scale: Size at which the two ways meet, in multiples of the finest map.

    Raises:
        ValueError: If the numbers of channels do not describe four maps.

    Source: Chu et al., BUOL: A Bottom-Up Framework with Occupancy-aware Lifting for
    Panoptic 3D Scene Reconstruction From A Single Image, section 3.3.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_planes: int = 100,
        plane_size: Sequence[int] = (120, 160),
        decoder_channels: Sequence[int] = (1024, 512, 256, 128, 64),
        fused_channels: int = 16,
        fine_scale: int = 2,
    ) -> None:
        super().__init__()
        if len(decoder_channels) != len(in_channels) + 1:
            raise ValueError(
                'decoder_channels of the plane occupancy head must have one entry more '
                f'than in_channels, got {tuple(decoder_channels)} and '
                f'{tuple(in_channels)}'
            )
        height, width = plane_size
        self.plane_size = (height, width)
        self.fine_scale = fine_scale
        self.entry = _conv_norm(in_channels[-1], decoder_channels[0], 1)
        self.decoder = nn.ModuleList(
            UpProjection(before, after) for before, after in pairwise(decoder_channels)
        )
        self.contributions = nn.ModuleList(
            UpProjection(channels, fused_channels) for channels in in_channels
        )
        fused = fused_channels * len(in_channels)
        self.fuse = _conv_norm(fused, fused, 5)
        hidden = decoder_channels[-1] + fused
        self.resize = UpProjection(hidden, hidden)
        self.hidden = nn.ModuleList(_conv_norm(hidden, hidden, 5) for _ in range(2))
        self.predict = nn.Conv2d(hidden, num_planes, 5, padding=2)

    def forward(
        self, pyramid: tuple[Float[Tensor, 'B _ _ _'], ...]
    ) -> Float[Tensor, 'B P hp wp']:
        """Predict occupancy logits of the reduced plane.

        Args:
            pyramid: The neck's maps, fine to coarse. They cover the padded image, and
                so does the plane.

        Raises:
            ValueError: If the number of maps is not the one of ``in_channels``.
        """
        if len(pyramid) != len(self.contributions):
            raise ValueError(
                f'the plane occupancy head expects {len(self.contributions)} maps, '
                f'fine to coarse, got {len(pyramid)}'
            )
        finest = tuple(self.fine_scale * n for n in pyramid[0].shape[-2:])
        features = torch.cat(
            [self._decode(pyramid, finest), self._fuse(pyramid, finest)], 1
        )
        features = self.resize(features, self.plane_size)
        for layer in self.hidden:
            features = layer(features).relu()
        return self.predict(features)

    def _decode(self, pyramid: tuple[Tensor, ...], finest: tuple[int, int]) -> Tensor:
        features = self.entry(pyramid[-1]).relu()
        # The finer maps lend the decoder their sizes only.
        sizes = [tuple(level.shape[-2:]) for level in pyramid[-2::-1]]
        for step, size in zip(self.decoder, [*sizes, finest], strict=True):
            features = step(features, size)
        return features

    def _fuse(self, pyramid: tuple[Tensor, ...], finest: tuple[int, int]) -> Tensor:
        maps = [
            up(level, finest)
            for up, level in zip(self.contributions, pyramid, strict=True)
        ]
        return self.fuse(torch.cat(maps, dim=1)).relu()
