"""Derive training targets from the maps."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int, Shaped
from mmcv.transforms import BaseTransform
from PIL import Image

from mmp3d.registry import TRANSFORMS
from mmp3d.structures import LabelSpace


@TRANSFORMS.register_module()
class MakePlaneDepth(BaseTransform):
    """Reduce the depth map to the plane on which occupancy is predicted.

    Adds ``gt_plane_depth`` (float32 h w, metres, 0 = unknown). Nearest neighbour in
    PIL's way: halving takes the odd pixels. Put it before ``ShortestEdgeResize``, so
    that it sees the depth as it was loaded.

    Args:
        plane_size: (height, width).
    """

    def __init__(self, plane_size: tuple[int, int] = (120, 160)) -> None:
        self.plane_size = tuple(plane_size)

    def transform(self, results: dict) -> dict:
        """Apply to one sample."""
        depth = results['gt_depth_map'].astype(np.float32)
        results['gt_plane_depth'] = reduce_nearest(depth, self.plane_size)
        return results


@TRANSFORMS.register_module()
class MakePlaneRoomMask(BaseTransform):
    """Reduce the room map to the plane on which occupancy is predicted.

    Adds ``room_mask`` (bool h w): the occupancy lifting fills only what lies behind
    these pixels. Nearest neighbour as in ``MakePlaneDepth``.

    Args:
        plane_size: (height, width).
    """

    def __init__(self, plane_size: tuple[int, int] = (120, 160)) -> None:
        self.plane_size = tuple(plane_size)

    def transform(self, results: dict) -> dict:
        """Apply to one sample."""
        room = results['gt_room_map'].astype(np.uint8)
        results['room_mask'] = reduce_nearest(room, self.plane_size).astype(bool)
        return results


def reduce_nearest(
    values: Shaped[np.ndarray, 'H W'], size: tuple[int, int]
) -> Shaped[np.ndarray, 'h w']:
    """Resize a map in PIL's way, which reads pixel centres."""
    height, width = size
    image = Image.fromarray(values)
    return np.array(image.resize((width, height), Image.Resampling.NEAREST))


@TRANSFORMS.register_module()
class MakeInstanceTargets(BaseTransform):
    """Turn the panoptic maps into one mask per instance or stuff class.

    Adds ``gt_labels`` (int64 N), ``gt_masks`` (bool N H W) and ``gt_instance_ids``
    (int64 N, 0 for stuff): things by ascending instance id, then stuff. The class of an
    instance is the most frequent one inside; instances that are mostly void or stuff
    are left out, and so are small ones.

    Args:
        min_instance_pixels: An instance must have more pixels than this. Stuff may have
            any number.

    Source: NVPanoptix3D; Uni-3D.
    """

    def __init__(self, min_instance_pixels: int = 200) -> None:
        self.min_instance_pixels = min_instance_pixels

    def transform(self, results: dict) -> dict:
        """Apply to one sample."""
        space: LabelSpace = results['label_space']
        semantic = results['gt_semantic_map']
        instances = results['gt_instance_map']
        things = thing_labels(semantic, instances, space, self.min_instance_pixels)
        stuff = [label for label in space.stuff_targets if (semantic == label).any()]
        masks = [instances == i for i in things] + [semantic == s for s in stuff]
        results['gt_labels'] = np.array([*things.values(), *stuff], dtype=np.int64)
        results['gt_instance_ids'] = np.array(
            [*things, *[0] * len(stuff)], dtype=np.int64
        )
        results['gt_masks'] = stack_masks(masks, semantic.shape)
        return results


def thing_labels(
    semantic: Int[np.ndarray, 'H W'],
    instances: Int[np.ndarray, 'H W'],
    label_space: LabelSpace,
    min_pixels: int,
) -> dict[int, int]:
    """Give {instance id: label} of the instances that count, by ascending id."""
    num_classes = label_space.num_classes
    pairs, counts = np.unique(
        instances.astype(np.int64) * num_classes + semantic, return_counts=True
    )
    ids, rows = np.unique(pairs // num_classes, return_inverse=True)
    votes = np.zeros((len(ids), num_classes), dtype=np.int64)
    votes[rows, pairs % num_classes] = counts
    # Void is the last choice among equals: in the published maps it is 255, and the
    # smallest of equally frequent labels is taken.
    order = [*range(1, num_classes), label_space.void]
    winners = [order[i] for i in votes[:, order].argmax(axis=1)]
    refused = (label_space.void, *label_space.stuff_targets)
    return {
        int(instance): label
        for instance, label, size in zip(ids, winners, votes.sum(axis=1), strict=True)
        if instance > 0 and size > min_pixels and label not in refused
    }


def stack_masks(
    masks: list[Bool[np.ndarray, 'H W']], size: tuple[int, int]
) -> Bool[np.ndarray, 'N H W']:
    """Stack masks of one size; none give an array of shape 0 H W."""
    return np.stack(masks) if masks else np.zeros((0, *size), dtype=bool)
