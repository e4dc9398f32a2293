"""The 2D head of NvPanoptix3D: queries, plane occupancy, losses, 2D segmentation."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mmp3d.models.matchers import Matching
from mmp3d.registry import MODELS
from mmp3d.structures import (
    CameraBatch,
    GeometryFeatures,
    LabelSpace,
    PanopticReconstructionSample,
    PixelFeatures,
)
from mmp3d.utils import check_choice, without_autocast
from projects.NvPanoptix3D.nvpanoptix3d.structures import ViewPredictions
from projects.NvPanoptix3D.nvpanoptix3d.view_segmentation import (
    ViewSegmentation,
    segment_views,
)


@MODELS.register_module()
class PanopticDepthHead(nn.Module):
    """Predict segments and plane occupancy of an image, next to its depth.

    Depth is the backbone's; the queries look at the features it was made from.

    Args:
        decoder: Config of the query decoder (``DepthAwareDecoder``).
        depth_projector: Config of what brings depth features to the decoder
            (``DepthProjector``).
        plane_occupancy: Config of the multi-plane occupancy (``PlaneOccupancyHead``);
            ``None`` leaves it out, and with it everything that stage 2 lifts by it.
        criterion: Config of the losses (``PanopticDepthCriterion``); ``None`` in a
            model that is only used.
        label_space: Name of the classes.
        object_mask_threshold: Class probability above which a query is an object.
        overlap_threshold: Share of its own mask that a query must win to become a
            segment.
        max_depth: Farthest depth of a segmented view, in metres.

    Source: NVIDIA TAO Toolkit 7, NvPanoptix3D, 2D stage.
    """

    def __init__(
        self,
        decoder: dict,
        depth_projector: dict,
        plane_occupancy: dict | None,
        criterion: dict | None = None,
        label_space: str = 'front3d',
        object_mask_threshold: float = 0.8,
        overlap_threshold: float = 0.8,
        max_depth: float = 25.0,
    ) -> None:
        super().__init__()
        self.decoder = MODELS.build(decoder)
        self.depth_projector = MODELS.build(depth_projector)
        self.plane_occupancy = (
            None if plane_occupancy is None else MODELS.build(plane_occupancy)
        )
        self.criterion = None if criterion is None else MODELS.build(criterion)
        self.label_space = LabelSpace.named(label_space)
        self.object_mask_threshold = object_mask_threshold
        self.overlap_threshold = overlap_threshold
        self.max_depth = max_depth

    def forward(
        self, pixels: PixelFeatures, features: GeometryFeatures
    ) -> ViewPredictions:
        """Predict a batch of images.

        Args:
            pixels: Of the pixel decoder.
            features: Of the geometry backbone.
        """
        sizes = [tuple(level.shape[-2:]) for level in pixels.pyramid]
        depth_levels = self.depth_projector(features.depth_pyramid, sizes)
        decoded = self.decoder(pixels, depth_levels)
        plane_logits = None
        if self.plane_occupancy is not None:
            plane_logits = self.plane_occupancy(features.pyramid)
        return ViewPredictions(
            final=decoded.final,
            auxiliary=decoded.auxiliary,
            queries=decoded.queries,
            depth=features.depth,
            plane_logits=plane_logits,
            mask_features=pixels.mask_features,
            pyramid=pixels.pyramid,
            depth_features=features.depth_pyramid[-1],
            pose_encoding=features.pose_encoding,
        )

    def loss(
        self,
        views: ViewPredictions,
        inputs: CameraBatch,
        data_samples: Sequence[PanopticReconstructionSample],
    ) -> dict[str, Tensor]:
        """Compare the predictions with the truth.

        Returns:
            Losses by name, weighted.

        Raises:
            RuntimeError: If the head was built without a criterion.
        """
        self._need_criterion()
        with without_autocast(views.depth.device):
            return self.criterion(views, data_samples, inputs.padded_size)

    def match(
        self,
        views: ViewPredictions,
        inputs: CameraBatch,
        data_samples: Sequence[PanopticReconstructionSample],
    ) -> list[Matching]:
        """Assign the final queries to the instances of every image.

        Raises:
            RuntimeError: If the head was built without a criterion.
        """
        self._need_criterion()
        with without_autocast(views.depth.device):
            return self.criterion.match(views, data_samples, inputs.padded_size)

    def segment(
        self, views: ViewPredictions, inputs: CameraBatch, size: str
    ) -> list[ViewSegmentation]:
        """Turn the queries of every image into segments; cut off the padding.

        Args:
            views: Predictions of a batch.
            inputs: Gives the sizes of its images.
            size: 'image' for the resolution of the images, 'plane' for the reduced
                plane of the plane occupancy, which the lifting works on.

        Raises:
            ValueError: If ``size`` is unknown, or the plane is asked for without a
                plane occupancy.
        """
        check_choice('size', size, ('image', 'plane'))
        return segment_views(
            views,
            inputs,
            label_space=self.label_space,
            object_mask_threshold=self.object_mask_threshold,
            overlap_threshold=self.overlap_threshold,
            max_depth=self.max_depth,
            plane_size=None if size == 'image' else self._plane_size(),
        )

    def _plane_size(self) -> tuple[int, int]:
        if self.plane_occupancy is None:
            raise ValueError(
                "segment(size='plane') expects a plane occupancy head, which says how "
                'large the plane is; this PanopticDepthHead has plane_occupancy=None. '
                'Configure one, or leave out the frustum branch.'
            )
        return self.plane_occupancy.plane_size

    def _need_criterion(self) -> None:
        if self.criterion is None:
            raise RuntimeError(
                'this PanopticDepthHead was built with criterion=None and can only '
                "predict. Give it criterion=dict(type='PanopticDepthCriterion') to "
                'train or to match.'
            )
