"""What stage 2 should have predicted, made from the label volumes of a sample.

No target x volume tensor exists at stride 1: the labels are looked up at the voxels
where somebody asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor

from mmp3d.geometry.distance_field import coarse_occupancy, coarse_weights
from mmp3d.structures import PanopticReconstructionSample


@dataclass(frozen=True)
class DenseMasks:
    """One mask per target."""

    masks: Bool[Tensor, 'G x y z']

    def at(self, cells: Int[Tensor, 'N 3']) -> Bool[Tensor, 'N G']:
        """Whether each cell belongs to each target."""
        x, y, z = cells.long().unbind(dim=1)
        return self.masks[:, x, y, z].T

    def are_filled(self) -> Bool[Tensor, ' G']:
        """Whether each target has any cell."""
        return self.masks.flatten(1).any(dim=1)


@dataclass(frozen=True)
class LabelMasks:
    """Masks as two label volumes: a thing is its instance id, stuff is its label.

    Attributes:
        instance_volume: The dataset's instance id of each voxel, 0 = none.
        semantic: Label of each voxel, 0 = free space.
        instance_ids: Of each target; 0 for stuff.
        labels: Of each target.
    """

    instance_volume: Integer[Tensor, 'X Y Z']
    semantic: Integer[Tensor, 'X Y Z']
    instance_ids: Int[Tensor, ' G']
    labels: Int[Tensor, ' G']

    def at(self, cells: Int[Tensor, 'N 3']) -> Bool[Tensor, 'N G']:
        """Whether each cell belongs to each target."""
        x, y, z = cells.long().unbind(dim=1)
        is_instance = self.instance_volume[x, y, z][:, None] == self.instance_ids
        is_stuff = self.semantic[x, y, z][:, None] == self.labels
        return torch.where(self.instance_ids > 0, is_instance, is_stuff)

    def are_filled(self) -> Bool[Tensor, ' G']:
        """Whether each target has any cell."""
        return self.pooled(min(self.semantic.shape)).are_filled()

    def pooled(self, stride: int) -> DenseMasks:
        """Masks of a coarser grid: max-pooling, kernel 2s, stride s, padding s/2.

        Every labelled voxel marks the two cells per axis whose windows it lies in; the
        cost does not depend on the number of targets. Equal to
        ``geometry.distance_field.instance_masks_at_stride``, for an even stride that
        divides the grid.
        """
        dims = [n // stride for n in self.semantic.shape]
        masks = self.labels.new_zeros((len(self.labels), *dims), dtype=torch.bool)
        for target, voxels in (
            _entries(self.instance_volume, self.instance_ids, self.instance_ids > 0),
            _entries(self.semantic, self.labels, self.instance_ids == 0),
        ):
            last = voxels.new_tensor(dims) - 1
            upper = (voxels + stride // 2) // stride
            pair = [torch.minimum((upper - i).clamp(min=0), last) for i in (0, 1)]
            for i, j, k in product((0, 1), repeat=3):
                masks[target, pair[i][:, 0], pair[j][:, 1], pair[k][:, 2]] = True
        return DenseMasks(masks)


def _entries(
    volume: Integer[Tensor, 'X Y Z'],
    values: Int[Tensor, ' G'],
    chosen: Bool[Tensor, ' G'],
) -> tuple[Int[Tensor, ' N'], Int[Tensor, 'N 3']]:
    """Target and index of every voxel that holds the value of a chosen target.

    Values of chosen targets are positive and different from each other.
    """
    targets = chosen.nonzero()[:, 0]
    voxels = volume.nonzero()
    if not len(targets) or not len(voxels):
        return targets[:0], voxels[:0]
    values, order = values[targets].sort()
    found = volume[tuple(voxels.T)].to(values.dtype)
    place = torch.searchsorted(values, found).clamp(max=len(values) - 1)
    hit = values[place] == found
    return targets[order][place[hit]], voxels[hit]


@dataclass(frozen=True)
class LevelTargets:
    """Targets of one stride.

    Attributes:
        occupancy: Cells near a surface.
        weights: How much each cell counts.
        masks: Cells of each target; dense at strides 4 and 2.
    """

    occupancy: Bool[Tensor, 'x y z']
    weights: Float[Tensor, 'x y z']
    masks: DenseMasks | LabelMasks


@dataclass(frozen=True)
class FrustumTargets:
    """Targets of one sample, named by stride.

    Attributes:
        tudf: Unsigned distance in voxels.
        num_targets: Number of instances and stuff regions.
        sample_weight: How much the sample counts.
    """

    tudf: Float[Tensor, 'X Y Z']
    stride_1: LevelTargets
    stride_2: LevelTargets
    stride_4: LevelTargets
    num_targets: int
    sample_weight: float


def build_frustum_targets(
    sample: PanopticReconstructionSample,
    occupancy_bands: tuple[float, float, float],
    device: torch.device,
) -> FrustumTargets:
    """Make the targets of a sample from its ``gt_volume`` and ``gt_instances``.

    Args:
        sample: Ground truth at the finest grid.
        occupancy_bands: A cell of stride 4, 2, 1 is occupied where the distance is
            below this many finest voxels.
        device: Where the targets are made.

    Source: NVPanoptix3D, 3D ground truth.
    """
    volume = sample.gt_volume.to(device)
    instances = sample.gt_instances
    masks = LabelMasks(
        volume.instance_ids,
        volume.semantic,
        instances.instance_ids.to(device),
        instances.labels.to(device),
    )
    band_4, band_2, band_1 = occupancy_bands

    def coarse(stride: int, band: float) -> LevelTargets:
        return LevelTargets(
            coarse_occupancy(volume.tudf[None], stride, band)[0],
            coarse_weights(volume.weights[None], stride)[0],
            masks.pooled(stride),
        )

    return FrustumTargets(
        tudf=volume.tudf,
        stride_1=LevelTargets(volume.tudf < band_1, volume.weights, masks),
        stride_2=coarse(2, band_2),
        stride_4=coarse(4, band_4),
        num_targets=len(instances.labels),
        sample_weight=float(sample.get('loss_weight', 1.0)),
    )
