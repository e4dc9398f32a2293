"""Dense depth from the tokens of four transformer layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mmp3d.models.layers import TokenReassembly, add_uv_embedding, image_size
from mmp3d.registry import MODELS
from mmp3d.utils import check_positive


@dataclass(frozen=True)
class DepthMaps:
    """What the depth head knows of an image.

    Attributes:
        depth: z-depth in metres, above 0, at the backbone's resolution.
        confidence: At least 1; larger is surer.
        pyramid: The four fused maps, fine to coarse (out1 ... out4).
    """

    depth: Float[Tensor, 'B H W']
    confidence: Float[Tensor, 'B H W']
    pyramid: tuple[Float[Tensor, 'B C _ _'], ...]


@MODELS.register_module()
class DPTHead(TokenReassembly):
    """Predict z-depth and its confidence.

    Args:
        in_channels: Channels of the tokens.
        patch_size: Edge of a patch in pixels.
        features: Channels of the fused maps, a multiple of 8.
        out_channels: Channels of the four maps before they are fused, fine to coarse.
        hidden_channels: Channels of the last hidden layer.
        init_depth: Depth in metres that an untrained head answers about everywhere.
            ``None`` = PyTorch's initialisation, about one metre.

    Source: Ranftl et al., Vision Transformers for Dense Prediction, section 3; Wang et
        al., VGGT, section 3.3.
    """

    def __init__(
        self,
        in_channels: int,
        patch_size: int = 14,
        features: int = 256,
        out_channels: Sequence[int] = (256, 512, 1024, 1024),
        hidden_channels: int = 32,
        init_depth: float | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels)
        self.patch_size = patch_size
        # The published name of everything behind the four maps.
        self.scratch = _Scratch(features, out_channels, hidden_channels)
        if init_depth is not None:
            check_positive('init_depth', init_depth)
            with torch.no_grad():
                self.scratch.output_conv2[-1].bias[0] = math.log(init_depth)

    def forward(
        self, tokens: Sequence[Float[Tensor, 'B N C']], grid: tuple[int, int]
    ) -> DepthMaps:
        """Give depth at ``patch_size`` times the grid.

        Args:
            tokens: Patch tokens of four layers, early to late.
            grid: (rows, columns) of the patches.
        """
        pyramid = self.scratch.fuse(self.reassemble(tokens, grid))
        rows, columns = grid
        size = rows * self.patch_size, columns * self.patch_size
        logits = self.scratch.predict(pyramid[0], size, columns / rows).float()
        log_depth, log_confidence = logits.unbind(1)
        return DepthMaps(log_depth.exp(), 1 + log_confidence.exp(), pyramid)


class _Scratch(nn.Module):
    """Four maps to one, and that one to two logits per pixel."""

    def __init__(
        self, features: int, widths: Sequence[int], hidden_channels: int
    ) -> None:
        super().__init__()
        if features % 8:
            raise ValueError(f'features must be a multiple of 8, got {features}')
        for level, width in enumerate(widths, start=1):
            adapt = nn.Conv2d(width, features, kernel_size=3, padding=1, bias=False)
            setattr(self, f'layer{level}_rn', adapt)
        self.refinenet1 = FeatureFusion(features)
        self.refinenet2 = FeatureFusion(features)
        self.refinenet3 = FeatureFusion(features)
        self.refinenet4 = FeatureFusion(features, has_finer=False)
        self.output_conv1 = nn.Conv2d(features, features // 2, 3, padding=1)
        self.output_conv2 = nn.Sequential(
            nn.Conv2d(features // 2, hidden_channels, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden_channels, 2, kernel_size=1),
        )

    def fuse(
        self, maps: Sequence[Float[Tensor, 'B _ _ _']]
    ) -> tuple[Float[Tensor, 'B C _ _'], ...]:
        """Fuse from coarse to fine; give every step, fine to coarse."""
        level1 = self.layer1_rn(maps[0])
        level2 = self.layer2_rn(maps[1])
        level3 = self.layer3_rn(maps[2])
        level4 = self.layer4_rn(maps[3])
        out4 = self.refinenet4(level4, None, image_size(level3))
        out3 = self.refinenet3(out4, level3, image_size(level2))
        out2 = self.refinenet2(out3, level2, image_size(level1))
        height, width = image_size(level1)
        out1 = self.refinenet1(out2, level1, (2 * height, 2 * width))
        return out1, out2, out3, out4

    def predict(
        self, finest: Float[Tensor, 'B C h w'], size: tuple[int, int], aspect: float
    ) -> Float[Tensor, 'B 2 H W']:
        """Give the logits of depth and confidence at ``size``."""
        finest = _resize_aligned(self.output_conv1(finest), size)
        return self.output_conv2(add_uv_embedding(finest, aspect))


class FeatureFusion(nn.Module):
    """Add a finer map to what is known so far, refine, and upsample.

    Args:
        channels: Channels of all maps.
        has_finer: Whether there is a finer map to add; the coarsest level has none.

    Source: Ranftl et al., Vision Transformers for Dense Prediction, section 3 (Fusion).
    """

    def __init__(self, channels: int, has_finer: bool = True) -> None:
        super().__init__()
        if has_finer:
            self.resConfUnit1 = ResidualConvUnit(channels)
        self.resConfUnit2 = ResidualConvUnit(channels)
        self.out_conv = nn.Conv2d(channels, channels, kernel_size=1)

    def forward(
        self,
        coarse: Float[Tensor, 'B C h w'],
        finer: Float[Tensor, 'B C h w'] | None,
        size: tuple[int, int],
    ) -> Float[Tensor, 'B C _ _']:
        """Give the fused map at ``size``.

        Args:
            coarse: The result of the coarser level.
            finer: The map of this level; ``None`` at the coarsest.
            size: (height, width) of the result.
        """
        if finer is not None:
            coarse = coarse + self.resConfUnit1(finer)
        refined = self.out_conv(self.resConfUnit2(coarse))
        # Published the other way round. A 1x1 convolution and a resize whose weights
        # sum to one commute; this order convolves a quarter of the pixels.
        return _resize_aligned(refined, size)


class ResidualConvUnit(nn.Module):
    """Two convolutions beside a skip path that carries the activated input.

    Source: Lin et al., RefineNet, section 3.2.
    Differs: the published activation works in place, so the skip path adds relu(x).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1)

    def forward(self, x: Float[Tensor, 'B C h w']) -> Float[Tensor, 'B C h w']:
        """Refine a map."""
        activated = F.relu(x)
        return self.conv2(F.relu(self.conv1(activated))) + activated


def _resize_aligned(
    maps: Float[Tensor, 'B C _ _'], size: tuple[int, int]
) -> Float[Tensor, 'B C _ _']:
    """Resize bilinearly with the corner pixels on the corners."""
    return F.interpolate(maps, tuple(size), mode='bilinear', align_corners=True)
