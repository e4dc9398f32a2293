"""Depth features brought to the levels that the queries read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mmp3d.models.layers.batch_norm import BatchNorm2d
from mmp3d.registry import MODELS


@MODELS.register_module()
class DepthProjector(nn.Module):
    """Bring the coarser maps of the depth head to the sizes of the image levels.

    Args:
        in_channels: Channels of the depth head's maps.
        channels: Channels of the projected levels.
        num_levels: Levels to project, the coarsest maps of the depth head.

    Differs: The released checkpoints hold a fourth projection, of the finest map, whose
    result nothing reads; it is not built.
    """

    def __init__(
        self, in_channels: int = 256, channels: int = 256, num_levels: int = 3
    ) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(
            nn.Sequential(
                OrderedDict(
                    conv=nn.Conv2d(in_channels, channels, 3, stride=2, padding=1),
                    bn=BatchNorm2d(channels),
                    relu=nn.ReLU(inplace=True),
                )
            )
            for _ in range(num_levels)
        )
        self.project = nn.ModuleList(
            nn.Conv2d(channels, channels, 1) for _ in range(num_levels)
        )

    def forward(
        self,
        depth_pyramid: tuple[Float[Tensor, 'B _ _ _'], ...],
        sizes: Sequence[tuple[int, int]],
    ) -> tuple[Float[Tensor, 'B C _ _'], ...]:
        """Project the depth features, coarse to fine.

        Args:
            depth_pyramid: Maps of the depth head, fine to coarse.
            sizes: (height, width) of the levels, coarse to fine.

        Raises:
            ValueError: If there are too few maps or not one size per level.
        """
        num_levels = len(self.project)
        if len(sizes) != num_levels or len(depth_pyramid) < num_levels:
            raise ValueError(
                f'the depth projector expects {num_levels} sizes and at least as many '
                f'depth maps, got {len(sizes)} and {len(depth_pyramid)}'
            )
        coarse_to_fine = depth_pyramid[::-1][:num_levels]
        return tuple(
            project(_resize(reduce(level), tuple(size)))
            for reduce, project, level, size in zip(
                self.reduce, self.project, coarse_to_fine, sizes, strict=True
            )
        )


def _resize(features: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(features.shape[-2:]) == size:
        return features
    return F.interpolate(features, size, mode='bilinear', align_corners=False)
