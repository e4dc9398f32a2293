"""The sample that runners, metrics, visualizers and writers pass around."""

from __future__ import annotations

from mmengine.structures import BaseDataElement, InstanceData, PixelData

from mmp3d.structures.segmentation import PanopticSegmentation
from mmp3d.structures.volume_data import VolumeData


class PanopticReconstructionSample(BaseDataElement):
    """Ground truth and predictions of one image.

    Meta information: ``sample_id``, ``img_path``, ``ori_shape`` (H, W of the file),
    ``img_shape`` (H, W before padding), ``K`` (3x3 array, pixels of ``img_shape``),
    ``grid`` (``FrustumGrid``), ``label_space`` (``LabelSpace``), ``loss_weight``; for
    an image that belongs to no dataset also ``intrinsics_source`` ('user', 'exif',
    'camera_head' or 'dataset'), and ``pad_shape`` (H, W to pad to at least) where it
    keeps its aspect ratio.

    Ground truth (a field is absent where a run does not need it):

    - ``gt_instances``: ``labels`` int64 ``N``, ``masks`` bool ``N H W``
      (``img_shape``), ``instance_ids`` int64 ``N`` (the dataset's own id; 0 for
      stuff). Things by ascending id, then stuff.
    - ``gt_depth_map``: ``depth`` float32 ``1 H W``, metres, 0 = unknown.
    - ``gt_plane_depth``: ``depth`` float32 ``1 h w``, the same on the reduced plane.
    - ``gt_plane_occupancy``: ``occupancy`` bool ``P h w``.
    - ``gt_panoptic_seg``: ``semantic`` and ``instance_ids``, int32 ``1 H W``, 0 = void,
      as on disk, for the metrics.
    - ``gt_volume``: ``tudf`` float32, ``semantic`` uint8, ``instance_ids`` int32,
      ``weights`` float32, all ``X Y Z``.

    Known of the image beforehand, where a dataset has it:

    - ``room_map``: ``mask`` bool ``1 H W``, the pixels of the room that the camera
      stands in; the depth of stage 1 is 0 elsewhere.

    Predictions:

    - ``pred_panoptic_seg``: ``PanopticSegmentation`` over ``H W`` (``img_shape``).
    - ``pred_depth_map``: ``depth`` float32 ``1 H W``, metres.
    - ``pred_plane_panoptic_seg``, ``pred_plane_depth``: the same on the reduced plane
      that stage 2 works on; absent in stage 1.
    - ``pred_volume``: ``tudf`` float32 ``X Y Z`` in voxels.
    - ``pred_volume_seg``: ``PanopticSegmentation`` over ``X Y Z``.
    - ``pred_pose_encoding``: float32 ``9``.
    """

    gt_instances: InstanceData
    gt_depth_map: PixelData
    gt_plane_depth: PixelData
    gt_plane_occupancy: PixelData
    gt_panoptic_seg: PixelData
    gt_volume: VolumeData
    room_map: PixelData
    pred_panoptic_seg: PanopticSegmentation
    pred_depth_map: PixelData
    pred_plane_panoptic_seg: PanopticSegmentation
    pred_plane_depth: PixelData
    pred_volume: VolumeData
    pred_volume_seg: PanopticSegmentation
