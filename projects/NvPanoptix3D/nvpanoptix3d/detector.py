"""NvPanoptix3D: one image in; depth, panoptic segmentation and a 3D scene out.

START READING HERE: ``extract_views`` is stage 1, ``frustum_branch`` is stage 2, and the
``if`` statements of ``loss`` and ``predict`` are all that tells them apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from mmengine.structures import PixelData
from torch import Tensor

from mmp3d.models.detectors.base import (
    ReconstructionDetector,
    Samples,
    tensors_of,
)
from mmp3d.models.detectors.predicted_cameras import use_predicted_cameras
from mmp3d.registry import MODELS
from mmp3d.structures import CameraBatch, PanopticReconstructionSample, VolumeData
from projects.NvPanoptix3D.nvpanoptix3d.structures import ViewPredictions


@MODELS.register_module()
class NvPanoptix3D(ReconstructionDetector):
    """Panoptic 3D reconstruction from one image.

    Args:
        backbone: Config of the geometry backbone (``VGGT``).
        pixel_decoder: Config of the pixel decoder (``MSDeformAttnPixelDecoder``).
        panoptic_head: Config of the 2D head (``PanopticDepthHead``).
        frustum_branch: Config of the 3D part (``FrustumBranch``). ``None``: stage 1,
            which predicts and trains in 2D. Otherwise stage 2, which predicts both and
            trains the 3D part only.
        frozen: Dotted names of sub-modules that are not trained.
        label_space: Name of the classes.
        data_preprocessor: Config of the preprocessor.
        init_cfg: mmengine's initialisation config.

    Source: NVIDIA TAO Toolkit 7, NvPanoptix3D.
    """

    def __init__(
        self,
        backbone: dict,
        pixel_decoder: dict,
        panoptic_head: dict,
        frustum_branch: dict | None = None,
        frozen: Sequence[str] = (),
        label_space: str = 'front3d',
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(label_space, frozen, data_preprocessor, init_cfg)
        self.backbone = MODELS.build(backbone)
        self.pixel_decoder = MODELS.build(pixel_decoder)
        self.panoptic_head = MODELS.build(panoptic_head)
        self.frustum_branch = (
            None if frustum_branch is None else MODELS.build(frustum_branch)
        )
        self.freeze()

    def extract_views(self, inputs: CameraBatch) -> ViewPredictions:
        """Stage 1: queries with classes and masks, depth, plane occupancy."""
        features = self.backbone(inputs)
        pixels = self.pixel_decoder(features.pyramid)
        return self.panoptic_head(pixels, features)

    def loss(self, inputs: CameraBatch, data_samples: Samples) -> dict[str, Tensor]:
        """Losses of the stage that is trained, by name and weighted."""
        if self.frustum_branch is None:
            views = self.extract_views(inputs)
            return self.panoptic_head.loss(views, inputs, data_samples)
        with torch.no_grad():
            views = self.extract_views(inputs)
            matchings = self.panoptic_head.match(views, inputs, data_samples)
            planes = self.panoptic_head.segment(views, inputs, size='plane')
        frustum = self.frustum_branch(views, planes, inputs, with_coarse_masks=True)
        return self.frustum_branch.loss(frustum, inputs, data_samples, matchings)

    def predict(
        self, inputs: CameraBatch, data_samples: Samples
    ) -> list[PanopticReconstructionSample]:
        """Add the predictions of every stage the model has to the samples."""
        views = self.extract_views(inputs)
        inputs = use_predicted_cameras(inputs, views.pose_encoding, data_samples)
        images = self.panoptic_head.segment(views, inputs, size='image')
        for i, (sample, image) in enumerate(zip(data_samples, images, strict=True)):
            sample.pred_panoptic_seg = image.panoptic
            sample.pred_depth_map = PixelData(depth=within_room(image.depth, sample))
            if views.pose_encoding is not None:
                sample.pred_pose_encoding = views.pose_encoding[i]
        if self.frustum_branch is None:
            return list(data_samples)

        planes = self.panoptic_head.segment(views, inputs, size='plane')
        frustum = self.frustum_branch(views, planes, inputs)
        volumes = self.frustum_branch.segment(frustum, views, inputs)
        for sample, plane, volume in zip(data_samples, planes, volumes, strict=True):
            sample.pred_plane_panoptic_seg = plane.panoptic
            sample.pred_plane_depth = PixelData(depth=plane.depth[None])
            sample.pred_volume = VolumeData(tudf=volume.tudf)
            sample.pred_volume_seg = volume.panoptic
        return list(data_samples)

    def tensors(self, inputs: CameraBatch) -> tuple[Tensor, ...]:
        """All tensors of stage 1's predictions, and of stage 2's where there is one."""
        views = self.extract_views(inputs)
        if self.frustum_branch is None:
            return tensors_of(views)
        planes = self.panoptic_head.segment(views, inputs, size='plane')
        return tensors_of(self.frustum_branch(views, planes, inputs))


def within_room(
    depth: Float[Tensor, 'H W'], sample: PanopticReconstructionSample
) -> Float[Tensor, '1 H W']:
    """Set the depth of other rooms to 0, seen through doors, where they are known.

    Source: NVIDIA TAO Toolkit 7, NvPanoptix3D, stage 1 on Matterport3D.
    """
    if 'room_map' not in sample:
        return depth[None]
    return depth * sample.room_map.mask
