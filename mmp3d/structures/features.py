"""What the shared parts of a model hand to each other."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class GeometryFeatures:
    """What a geometry backbone knows of an image (the first view).

    Attributes:
        pyramid: Four maps, fine to coarse (res2 ... res5).
        depth_pyramid: Four maps of the depth head, fine to coarse (out1 ... out4).
        depth: z-depth in metres at the resolution the backbone worked at.
        pose_encoding: Translation, quaternion, field of view (vertical, horizontal) in
            radians; ``None`` where the camera head is switched off.
    """

    pyramid: tuple[Float[Tensor, 'B _ _ _'], ...]
    depth_pyramid: tuple[Float[Tensor, 'B _ _ _'], ...]
    depth: Float[Tensor, 'B H W']
    pose_encoding: Float[Tensor, 'B 9'] | None


@dataclass(frozen=True)
class PixelFeatures:
    """What a pixel decoder hands on.

    Attributes:
        mask_features: Per-pixel embedding that queries are multiplied with.
        pyramid: Three maps, coarse to fine.
    """

    mask_features: Float[Tensor, 'B C h w']
    pyramid: tuple[Float[Tensor, 'B _ _ _'], ...]


@dataclass(frozen=True)
class QueryPredictions:
    """Class and mask of every query, before any activation."""

    class_logits: Float[Tensor, 'B Q L']
    mask_logits: Float[Tensor, 'B Q h w']
