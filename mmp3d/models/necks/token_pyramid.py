"""ViT tokens of four layers as a feature pyramid for a pixel decoder."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from mmp3d.models.layers import TokenReassembly
from mmp3d.registry import MODELS


@MODELS.register_module()
class TokenPyramid(TokenReassembly):
    """Give maps with the nominal strides 4, 8, 16 and 32 (res2 ... res5).

    Relative to the backbone's input of 14-pixel patches the strides are 3.5, 7, 14 and
    28. The earliest layer makes the finest map; there is no activation.

    Args:
        in_channels: Channels of the tokens.
        out_channels: Channels of the four maps, fine to coarse.
        hidden_channels: Channels in which maps are resized; ``None`` = ``in_channels``,
            as published. Less is much cheaper in a small model.

    Source: NVPanoptix3D, the adapter ``dpt2pixeldecoder``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: Sequence[int] = (256, 512, 1024, 2048),
        hidden_channels: int | None = None,
    ) -> None:
        hidden_channels = hidden_channels or in_channels
        super().__init__(in_channels, (hidden_channels,) * len(out_channels))
        self.unify_layers = nn.ModuleList(
            nn.Conv2d(hidden_channels, width, kernel_size=1) for width in out_channels
        )

    def forward(
        self, tokens: Sequence[Float[Tensor, 'B N C']], grid: tuple[int, int]
    ) -> tuple[Float[Tensor, 'B _ _ _'], ...]:
        """Give the pyramid, fine to coarse.

        Args:
            tokens: Patch tokens of four layers, early to late.
            grid: (rows, columns) of the patches.
        """
        maps = self.reassemble(tokens, grid)
        return tuple(
            unify(plane) for unify, plane in zip(self.unify_layers, maps, strict=True)
        )
