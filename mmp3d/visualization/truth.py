"""Ground truth as segments, so that it is drawn as predictions are."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Integer

from mmp3d.structures import LabelSpace, PanopticSegmentation, Segment


def panoptic_of_maps(
    semantic: Integer[np.ndarray, '*domain'],
    instance_ids: Integer[np.ndarray, '*domain'],
    label_space: LabelSpace,
) -> PanopticSegmentation:
    """Number every pair of class and instance, for pixels or voxels.

    Args:
        semantic: Label of each cell, 0 = none.
        instance_ids: The dataset's own ids; of no meaning for stuff.
        label_space: What is a thing.
    """
    labels, instances = semantic.reshape(-1), instance_ids.reshape(-1)
    cells = np.flatnonzero(labels)
    things = np.isin(labels[cells], label_space.thing_labels)
    numbers = np.where(things, instances[cells].astype(np.int64), 0)
    span = int(numbers.max(initial=0)) + 1
    keys, rows = np.unique(
        labels[cells] * np.int64(span) + numbers, return_inverse=True
    )
    ids = np.zeros(labels.shape, np.int32)
    ids[cells] = rows.reshape(-1) + 1
    segments = tuple(
        Segment(row + 1, int(label), label_space.is_thing(int(label)))
        for row, label in enumerate(keys // span)
    )
    return PanopticSegmentation(torch.from_numpy(ids.reshape(semantic.shape)), segments)
