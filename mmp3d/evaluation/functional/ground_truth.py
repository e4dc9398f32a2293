"""What the metrics count as true segments."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int, Integer

from mmp3d.structures import LabelSpace


def volume_ground_truth(
    semantic: Integer[np.ndarray, 'X Y Z'],
    instance_ids: Integer[np.ndarray, 'X Y Z'],
    label_space: LabelSpace,
) -> tuple[Int[np.ndarray, 'X Y Z'], dict[int, int]]:
    """Merge the class volume and the instance volume to one panoptic volume.

    Instances get the ids after the stuff classes, in ascending order of their own; the
    class is the most frequent thing class inside (the smallest of equals). An instance
    without a thing voxel keeps its id, but is no segment. The k-th stuff class of
    ``label_space.stuff_targets`` takes all its voxels with id k, also from instances.
    There is neither a minimum size nor a test of visibility.

    Args:
        semantic: Label of each voxel, 0 = none.
        instance_ids: The dataset's own ids, 0 = no instance.
        label_space: Classes, and which stuff the dataset has.

    Returns:
        Id of each voxel, and {id: label} in matching order: things, then stuff.

    Raises:
        ValueError: If a label is not in the label space.
    """
    if semantic.size and not 0 <= semantic.min() <= semantic.max() < (
        label_space.num_classes
    ):
        raise ValueError(
            f'semantic volume holds the labels {semantic.min()} ... {semantic.max()}, '
            f'but label space {label_space.name!r} has 0 ... '
            f'{label_space.num_classes - 1}; map the labels when loading'
        )
    stuff = label_space.stuff_targets
    ids = np.zeros(semantic.shape, np.int32)
    voxels = np.flatnonzero(instance_ids)
    instances, rows = _compact(instance_ids.reshape(-1)[voxels])
    ids.reshape(-1)[voxels] = rows + len(stuff) + 1
    votes = np.bincount(
        rows * label_space.num_classes + semantic.reshape(-1)[voxels],
        minlength=len(instances) * label_space.num_classes,
    ).reshape(len(instances), label_space.num_classes)
    not_things = [c for c in range(votes.shape[1]) if not label_space.is_thing(c)]
    votes[:, not_things] = 0
    labels = {
        row + len(stuff) + 1: int(vote.argmax())
        for row, vote in enumerate(votes)
        if vote.any()
    }
    for k, label in enumerate(stuff, start=1):
        found = semantic == label
        if found.any():
            ids[found] = k
            labels[k] = label
    return ids, labels


def image_ground_truth(
    semantic: Integer[np.ndarray, 'H W'], instance_ids: Integer[np.ndarray, 'H W']
) -> tuple[Int[np.ndarray, 'H W'], list[int]]:
    """Number the segments of an image from 1: every pair of class and instance is one.

    Args:
        semantic: Label of each pixel, 0 = void.
        instance_ids: The dataset's own ids.

    Returns:
        Id of each pixel, 0 on void, and the label of each segment 1, 2, ...
    """
    known = np.flatnonzero(semantic)
    span = int(instance_ids.max(initial=0)) + 1
    keys = semantic.reshape(-1)[known].astype(np.int64) * span
    pairs, rows = np.unique(keys + instance_ids.reshape(-1)[known], return_inverse=True)
    ids = np.zeros(semantic.shape, np.int32)
    ids.reshape(-1)[known] = rows.reshape(-1) + 1
    return ids, (pairs // span).tolist()


def _compact(
    ids: Integer[np.ndarray, ' N'],
) -> tuple[Integer[np.ndarray, ' S'], Int[np.ndarray, ' N']]:
    """Distinct values, ascending, and the row of each; without a sort for small ids."""
    if ids.size == 0 or ids.min() < 0 or ids.max() > 1 << 20:
        values, rows = np.unique(ids, return_inverse=True)
        return values, rows.reshape(-1)
    table = np.zeros(int(ids.max()) + 1, bool)
    table[ids] = True
    return np.flatnonzero(table), (np.cumsum(table) - 1)[ids]
