"""Panoptic segmentation and distance field of every volume, from stage 2.

Only voxels that have a row can be assigned: everywhere else each mask is empty and the
distance is the truncation. So the fusion works on the rows, and the grids are filled at
the end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmp3d.models.postprocess import FactoredMasks, FusionRules, fuse_queries
from mmp3d.sparse import SparseVoxels
from mmp3d.structures import LabelSpace, PanopticSegmentation


@dataclass(frozen=True)
class VolumeResult:
    """What stage 2 says of one volume.

    Attributes:
        tudf: Unsigned distance to the nearest surface in voxels, 0 ... truncation.
        panoptic: Over the same voxels; without ``class_probs``.
    """

    tudf: Float[Tensor, 'X Y Z']
    panoptic: PanopticSegmentation


@torch.no_grad()
def segment_volumes(
    class_logits: Float[Tensor, 'B Q L'],
    mask_features: SparseVoxels,
    mask_queries: Float[Tensor, 'B Q C'],
    tudf: SparseVoxels,
    dims: tuple[int, int, int],
    *,
    label_space: LabelSpace,
    object_mask_threshold: float,
    truncation: float = 3.0,
    surface_limit: float = 1.5,
) -> list[VolumeResult]:
    """Segment every volume of a batch.

    Args:
        class_logits: Of stage 1, before the softmax.
        mask_features: Features of the kept voxels of stride 1.
        mask_queries: What they are multiplied with to give the mask logits.
        tudf: Predicted distance in voxels, at the voxels of ``mask_features``.
        dims: Grid of the result.
        label_space: Says which labels are things.
        object_mask_threshold: Smallest class probability of a query that is kept.
        truncation: Distance in voxels of everything that has no row.
        surface_limit: Voxels of at most this distance belong to their best query even
            where its mask is unsure.

    Returns:
        One result per sample; queries of the void label are ignored.

    Raises:
        ValueError: If distances and mask features stand at different voxels.
    """
    if mask_features.coords.shape != tudf.coords.shape or not torch.equal(
        mask_features.coords, tudf.coords
    ):
        raise ValueError(
            'expected mask features and distances at the same voxels in the same '
            f'order, got {len(mask_features.coords)} and {len(tudf.coords)} rows; take '
            'both from the same pruned voxels of the frustum decoder'
        )
    rules = FusionRules(object_mask_threshold, ignored_labels=(label_space.void,))
    volumes = []
    for b in range(tudf.batch_size):
        rows = _rows_of_sample(tudf.coords, b, dims)
        cells = _flat_index(tudf.coords[rows, 1:], dims)
        distances = tudf.feats[rows, 0]
        panoptic = fuse_queries(
            class_logits[b],
            FactoredMasks(mask_features.feats[rows], mask_queries[b]),
            label_space,
            rules,
            claimed=distances <= surface_limit,
        )
        dense = replace(
            panoptic,
            ids=_fill_grid(panoptic.ids, cells, dims, empty=0),
            class_probs=None,
        )
        volumes.append(
            VolumeResult(_fill_grid(distances, cells, dims, empty=truncation), dense)
        )
    return volumes


def _rows_of_sample(
    coords: Int[Tensor, 'N 4'], sample: int, dims: tuple[int, int, int]
) -> Int[Tensor, ' M']:
    """Rows of one sample that lie inside the grid."""
    inside = (coords[:, 1:] >= 0) & (coords[:, 1:] < coords.new_tensor(dims))
    return ((coords[:, 0] == sample) & inside.all(dim=1)).nonzero()[:, 0]


def _flat_index(
    coords: Int[Tensor, 'M 3'], dims: tuple[int, int, int]
) -> Int[Tensor, ' M']:
    x, y, z = coords.long().unbind(dim=1)
    return (x * dims[1] + y) * dims[2] + z


def _fill_grid(
    values: Tensor,
    cells: Int[Tensor, ' M'],
    dims: tuple[int, int, int],
    empty: int | float,
) -> Tensor:
    grid = values.new_full((dims[0] * dims[1] * dims[2],), empty)
    grid[cells] = values
    return grid.view(dims)
