"""Depth features brought to the resolution of the mask features."""

from __future__ import annotations

from collections import OrderedDict

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mmp3d.models.layers.batch_norm import BatchNorm2d
from mmp3d.registry import MODELS


@MODELS.register_module()
class FeatureProjector(nn.Module):
    """Halve the coarsest depth map, then spread it over the mask features' cells.

    Args:
        in_channels: Channels of the depth map.
        channels: Channels of the result.

    Source: NVPanoptix3D, ``projector``.
    """

    def __init__(self, in_channels: int = 256, channels: int = 256) -> None:
        super().__init__()
        self.reduce = nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(in_channels, channels, 3, stride=2, padding=1),
                bn=BatchNorm2d(channels),
                relu=nn.ReLU(inplace=True),
            )
        )
        self.project = nn.Conv2d(channels, channels, 1)

    def forward(
        self, features: Float[Tensor, 'B Cd hd wd'], size: tuple[int, int]
    ) -> Float[Tensor, 'B C h w']:
        """Project.

        Args:
            features: Coarsest map of the depth head.
            size: (height, width) of the result.
        """
        reduced = self.reduce(features)
        spread = F.interpolate(reduced, size, mode='bilinear', align_corners=False)
        return self.project(spread)
