"""Bring what was predicted for an image to the size of its file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from mmengine.structures import PixelData
from torch import Tensor
from torch.nn import functional as F

from mmp3d.geometry import scale_intrinsics
from mmp3d.structures import PanopticReconstructionSample


def at_original_size(
    sample: PanopticReconstructionSample,
) -> PanopticReconstructionSample:
    """Give a sample whose image predictions have the size of the file.

    Depth is interpolated, ids are taken from the nearest pixel, ``K`` is scaled with
    them; class probabilities are left out. The volume, its grid and the reduced plane
    of stage 2 stay: they do not depend on the number of pixels.

    Args:
        sample: Predictions over ``img_shape``, padding cut off.

    Returns:
        A new sample with ``img_shape`` = ``ori_shape``.
    """
    before, size = tuple(sample.img_shape), tuple(sample.ori_shape)
    result = sample.new()
    K = scale_intrinsics(np.asarray(sample.K), before, size)
    result.set_metainfo(dict(img_shape=size, K=K))
    panoptic = sample.pred_panoptic_seg
    ids = _nearest(panoptic.ids, size)
    result.pred_panoptic_seg = replace(panoptic, ids=ids, class_probs=None)
    depth = F.interpolate(
        sample.pred_depth_map.depth[None], size, mode='bilinear', align_corners=False
    )
    result.pred_depth_map = PixelData(depth=depth[0])
    return result


def _nearest(ids: Tensor, size: tuple[int, int]) -> Tensor:
    # Ids are below 2 ** 24, so single precision holds them exactly.
    resized = F.interpolate(ids[None, None].float(), size, mode='nearest-exact')
    return resized[0, 0].to(ids.dtype)
