"""Panoptic segmentation and depth of every image, from the predictions of stage 1."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from mmp3d.models.postprocess import FusionRules, fuse_queries
from mmp3d.structures import CameraBatch, LabelSpace, PanopticSegmentation
from projects.NvPanoptix3D.nvpanoptix3d.structures import ViewPredictions


@dataclass(frozen=True)
class ViewSegmentation:
    """What stage 1 says of one image, padding removed.

    Attributes:
        panoptic: Over the image, or over the reduced plane; with ``class_probs``.
        depth: z-depth in metres at the same size.
    """

    panoptic: PanopticSegmentation
    depth: Float[Tensor, 'H W']


@torch.no_grad()
def segment_views(
    views: ViewPredictions,
    inputs: CameraBatch,
    *,
    label_space: LabelSpace,
    object_mask_threshold: float,
    overlap_threshold: float,
    max_depth: float | None = 25.0,
    plane_size: tuple[int, int] | None = None,
) -> list[ViewSegmentation]:
    """Segment every image of a batch.

    Args:
        views: Predictions over the padded images.
        inputs: Gives the size of the padded images and of each image.
        label_space: Says which labels are things.
        object_mask_threshold: Smallest class probability of a query that is kept.
        overlap_threshold: Smallest share of its own mask that a query must win.
        max_depth: Depth is clamped to 0 ... this many metres; ``None`` leaves it as
            predicted.
        plane_size: (height, width) of the reduced plane that stage 2 works on. Masks
            and depth are then resized to half the padded size first, as the published
            weights expect. ``None``: the size of each image.

    Differs: the reference cuts every image to the size of the first one, and leaves the
        depth of an image without segments unclamped.
    """
    scale = 1 if plane_size is None else 2
    padded = tuple(n // scale for n in inputs.padded_size)
    mask_logits = _resize(views.final.mask_logits, padded)
    depth = _resize(views.depth[:, None], padded)
    rules = FusionRules(object_mask_threshold, overlap_threshold, fill_with_stuff=True)
    images = []
    for b, (height, width) in enumerate(inputs.image_sizes):
        rows, columns = slice(height // scale), slice(width // scale)
        size = plane_size or (height, width)
        image_depth = _resize(depth[b : b + 1, :, rows, columns], size)[0, 0]
        panoptic = fuse_queries(
            views.final.class_logits[b],
            _resize(mask_logits[b : b + 1, :, rows, columns], size)[0],
            label_space,
            rules,
        )
        if max_depth is not None:
            image_depth = image_depth.clamp(0.0, max_depth)
        images.append(ViewSegmentation(panoptic, image_depth))
    return images


def _resize(
    maps: Float[Tensor, 'B C h w'], size: tuple[int, int]
) -> Float[Tensor, 'B C H W']:
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps.float(), size, mode='bilinear', align_corners=False)
