"""Stage 2 in one place: image predictions -> voxels -> scene."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmp3d.models.matchers import Matching
from mmp3d.registry import MODELS
from mmp3d.structures import (
    CameraBatch,
    LabelSpace,
    PanopticReconstructionSample,
)
from mmp3d.utils import without_autocast
from projects.NvPanoptix3D.nvpanoptix3d.structures import (
    FrustumPredictions,
    ViewPredictions,
)
from projects.NvPanoptix3D.nvpanoptix3d.view_segmentation import ViewSegmentation
from projects.NvPanoptix3D.nvpanoptix3d.volume_segmentation import (
    VolumeResult,
    segment_volumes,
)


@MODELS.register_module()
class FrustumBranch(nn.Module):
    """Lift what stage 1 knows to voxels, and decode the scene from them.

    Grid, voxel size and depth range come with the batch.

    Args:
        feature_projector: Config of the ``FeatureProjector``.
        decoder: Config of the ``FrustumDecoder``.
        surface_lifting: Config of the ``SurfaceLifting``.
        occupancy_lifting: Config of the ``OccupancyLifting``.
        criterion: Config of the losses (``FrustumCriterion``); ``None`` where the
            branch is only used.
        label_space: Name of the classes.
        object_mask_threshold: Class probability from which a query is an object.
        surface_limit: Voxels of at most this distance to a surface, in voxels, belong
            to their best query even where its mask is unsure.

    Source: NVPanoptix3D, stage 2.
    """

    def __init__(
        self,
        feature_projector: dict,
        decoder: dict,
        surface_lifting: dict,
        occupancy_lifting: dict,
        criterion: dict | None = None,
        label_space: str = 'front3d',
        object_mask_threshold: float = 0.8,
        surface_limit: float = 1.5,
    ) -> None:
        super().__init__()
        self.feature_projector = MODELS.build(feature_projector)
        self.surface_lifting = MODELS.build(surface_lifting)
        self.occupancy_lifting = MODELS.build(occupancy_lifting)
        self.decoder = MODELS.build(decoder)
        self.criterion = None if criterion is None else MODELS.build(criterion)
        self.label_space = LabelSpace.named(label_space)
        self.object_mask_threshold = object_mask_threshold
        self.surface_limit = surface_limit

    def forward(
        self,
        views: ViewPredictions,
        planes: Sequence[ViewSegmentation],
        inputs: CameraBatch,
        with_coarse_masks: bool = False,
    ) -> FrustumPredictions:
        """Predict distance field, occupancy and query masks of the voxels.

        Args:
            views: Predictions of stage 1.
            planes: Their segmentation on the reduced plane.
            inputs: Cameras, sizes, grid and frustum masks.
            with_coarse_masks: Whether to predict the masks of strides 4 and 2, which
                only the losses read.

        Raises:
            ValueError: If stage 1 predicted no plane occupancy.
        """
        if views.plane_logits is None:
            raise ValueError(
                'FrustumBranch needs the plane occupancy of stage 1, got None. Give '
                'the panoptic head a plane_occupancy config.'
            )
        size = tuple(views.mask_features.shape[-2:])
        depth_features = self.feature_projector(views.depth_features, size)
        encoder_features = torch.cat((views.mask_features, depth_features), dim=1)
        surface = self.surface_lifting(encoder_features, views.pyramid, planes, inputs)
        lifted = self.occupancy_lifting(views.plane_logits, planes, inputs)
        return self.decoder(
            surface.fine,
            lifted,
            surface.coarse,
            views.queries,
            inputs.frustum_mask,
            with_coarse_masks,
        )

    def loss(
        self,
        frustum: FrustumPredictions,
        inputs: CameraBatch,
        data_samples: Sequence[PanopticReconstructionSample],
        matchings: Sequence[Matching],
    ) -> dict[str, Tensor]:
        """Losses of stage 2, by name and weighted.

        Args:
            frustum: Predictions with coarse masks.
            inputs: The batch they were made from; its grid must be the samples'.
            data_samples: Need ``gt_volume`` and ``gt_instances``.
            matchings: Pairs of queries and targets that stage 1 found.

        Raises:
            RuntimeError: If the branch has no criterion.
            ValueError: If a sample's volumes have another grid.
        """
        if self.criterion is None:
            raise RuntimeError(
                'FrustumBranch was built without a criterion. Give it one to train.'
            )
        for sample in data_samples:
            if sample.gt_volume.dims != inputs.grid.dims:
                raise ValueError(
                    f'gt_volume of sample {sample.get("sample_id")!r} must have the '
                    f'grid of its batch {inputs.grid.dims}, got '
                    f'{sample.gt_volume.dims}. Set the grid once, in the dataset.'
                )
        with without_autocast(frustum.tudf.feats.device):
            return self.criterion(frustum.float(), data_samples, matchings)

    def segment(
        self,
        frustum: FrustumPredictions,
        views: ViewPredictions,
        inputs: CameraBatch,
    ) -> list[VolumeResult]:
        """Panoptic segmentation and distance field of every sample's grid."""
        return segment_volumes(
            views.final.class_logits,
            frustum.mask_features_1,
            frustum.mask_queries_1,
            frustum.tudf,
            inputs.grid.dims,
            label_space=self.label_space,
            object_mask_threshold=self.object_mask_threshold,
            truncation=self.decoder.truncation,
            surface_limit=self.surface_limit,
        )
