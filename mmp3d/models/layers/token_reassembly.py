"""From tokens of four layers to four maps of different resolution."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from mmp3d.models.layers.position_embedding import add_uv_embedding


class TokenReassembly(nn.Module):
    """Turn the patch tokens of four layers into maps at 4, 2, 1 and 1/2 of the grid.

    Base class of what reads such maps; its parts carry the published names.

    Args:
        in_channels: Channels of the tokens.
        widths: Channels of the four maps, fine to coarse.

    Source: Ranftl et al., Vision Transformers for Dense Prediction, section 3
        (Reassemble).
    """

    def __init__(self, in_channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        if len(widths) != 4:
            raise ValueError(
                f'{type(self).__name__} makes four maps and needs four channel '
                f'numbers, got {tuple(widths)}'
            )
        fine, double, _, coarse = widths
        self.norm = nn.LayerNorm(in_channels)
        self.projects = nn.ModuleList(
            nn.Conv2d(in_channels, width, kernel_size=1) for width in widths
        )
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(fine, fine, kernel_size=4, stride=4),
                nn.ConvTranspose2d(double, double, kernel_size=2, stride=2),
                nn.Identity(),
                nn.Conv2d(coarse, coarse, kernel_size=3, stride=2, padding=1),
            ]
        )

    def reassemble(
        self, tokens: Sequence[Float[Tensor, 'B N C']], grid: tuple[int, int]
    ) -> list[Float[Tensor, 'B _ _ _']]:
        """Give the four maps, fine to coarse.

        Args:
            tokens: Patch tokens of four layers; the earliest makes the finest map.
            grid: (rows, columns) of the patches.
        """
        if len(tokens) != 4:
            raise ValueError(
                f'{type(self).__name__} reads the tokens of four layers, got '
                f'{len(tokens)}. Set four taps in the backbone.'
            )
        height, width = grid
        maps = []
        for layer, project, resize in zip(
            tokens, self.projects, self.resize_layers, strict=True
        ):
            plane = self.norm(layer).transpose(1, 2).unflatten(2, (height, width))
            plane = add_uv_embedding(project(plane), width / height)
            maps.append(resize(plane))
        return maps
