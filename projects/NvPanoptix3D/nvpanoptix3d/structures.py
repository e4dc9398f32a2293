"""What the parts of NvPanoptix3D hand to each other."""

from __future__ import annotations

from dataclasses import dataclass, fields

from jaxtyping import Float
from torch import Tensor

from mmp3d.sparse import SparseVoxels
from mmp3d.structures import QueryPredictions


@dataclass(frozen=True)
class ViewPredictions:
    """Everything stage 1 knows of the images: the border between the two stages.

    Attributes:
        final: Predictions of the last decoder layer.
        auxiliary: Predictions of the initial queries and of every earlier layer.
        queries: The last layer's queries after the decoder's norm.
        depth: z-depth in metres at the backbone's resolution (padding included).
        plane_logits: Multi-plane occupancy; plane p covers the depths
            ``[p, p + 1) * far / P`` of the reduced plane.
        mask_features: Per-pixel embedding, fine.
        pyramid: Three pixel-decoder maps, coarse to fine.
        depth_features: The coarsest map of the depth head.
        pose_encoding: Raw output of the camera head; ``None`` where it is off.
    """

    final: QueryPredictions
    auxiliary: tuple[QueryPredictions, ...]
    queries: Float[Tensor, 'B Q C']
    depth: Float[Tensor, 'B Hd Wd']
    plane_logits: Float[Tensor, 'B P hp wp'] | None
    mask_features: Float[Tensor, 'B Cm h w']
    pyramid: tuple[Float[Tensor, 'B _ _ _'], ...]
    depth_features: Float[Tensor, 'B Cd hd wd']
    pose_encoding: Float[Tensor, 'B 9'] | None


@dataclass(frozen=True)
class FrustumPredictions:
    """What the frustum decoder predicts, named by stride.

    Attributes:
        occupancy_logits_4: Dense; -inf outside the frustum mask.
        occupancy_logits_2: One channel per generated voxel of stride 2.
        occupancy_logits_1: The same at stride 1.
        mask_logits_4: Dense, one channel per query; -inf outside the frustum mask.
            ``None`` at inference, where nobody reads it.
        mask_logits_2: One channel per query and kept voxel; ``None`` at inference.
        mask_features_1: Features of the kept voxels of stride 1.
        mask_queries_1: What they are multiplied with to give the mask logits. Kept
            apart, so that no query x volume tensor has to exist.
        tudf: One channel: unsigned distance in voxels, 0 ... truncation.
    """

    occupancy_logits_4: Float[Tensor, 'B X4 Y4 Z4']
    occupancy_logits_2: SparseVoxels
    occupancy_logits_1: SparseVoxels
    mask_logits_4: Float[Tensor, 'B Q X4 Y4 Z4'] | None
    mask_logits_2: SparseVoxels | None
    mask_features_1: SparseVoxels
    mask_queries_1: Float[Tensor, 'B Q C']
    tudf: SparseVoxels

    def float(self) -> FrustumPredictions:
        """The same in single precision, for what is summed over many voxels."""
        return FrustumPredictions(
            *(_in_single_precision(getattr(self, f.name)) for f in fields(self))
        )


def _in_single_precision(
    part: Tensor | SparseVoxels | None,
) -> Tensor | SparseVoxels | None:
    if isinstance(part, SparseVoxels):
        return part.map(Tensor.float)
    return None if part is None else part.float()
