"""Small batches for the tests of stage 2's liftings."""

from __future__ import annotations

import torch
from torch import Tensor

from mmp3d.geometry import frustum_mask
from mmp3d.structures import CameraBatch, FrustumGrid, PanopticSegmentation
from projects.NvPanoptix3D.nvpanoptix3d.view_segmentation import ViewSegmentation

FRONT3D_K = torch.tensor(
    [[277.1281435, 0, 159.5], [0, 277.1281435, 119.5], [0, 0, 1]], dtype=torch.float64
)


def camera_batch(
    K: Tensor,
    image_sizes: tuple[tuple[int, int], ...],
    padded_size: tuple[int, int],
    grid: FrustumGrid,
    room_mask: Tensor | None = None,
) -> CameraBatch:
    """A batch with analytic frustum masks; K is shared or one per image."""
    cameras = K.expand(len(image_sizes), 3, 3)
    masks = [
        frustum_mask(k, s, grid) for k, s in zip(cameras, image_sizes, strict=True)
    ]
    return CameraBatch(
        images=torch.zeros(len(image_sizes), 1, 3, *padded_size),
        K=cameras[:, None],
        image_sizes=image_sizes,
        grid=grid,
        frustum_mask=torch.stack(masks),
        room_mask=room_mask,
    )


def single(inputs: CameraBatch, i: int) -> CameraBatch:
    """One image of a batch, alone."""
    room = inputs.room_mask
    return CameraBatch(
        images=inputs.images[i : i + 1],
        K=inputs.K[i : i + 1],
        image_sizes=inputs.image_sizes[i : i + 1],
        grid=inputs.grid,
        frustum_mask=inputs.frustum_mask[i : i + 1],
        room_mask=None if room is None else room[i : i + 1],
    )


def view(depth: Tensor, probs: Tensor | None = None) -> ViewSegmentation:
    """A view of this depth; class probabilities are random unless given."""
    if probs is None:
        probs = torch.rand(13, *depth.shape)
    ids = torch.zeros_like(depth, dtype=torch.int32)
    return ViewSegmentation(PanopticSegmentation(ids, (), probs), depth)
