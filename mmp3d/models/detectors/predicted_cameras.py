"""Let the camera that the backbone predicts take the place of a stand-in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from mmp3d.geometry import (
    UnknownCameraError,
    frustum_mask,
    image_centre,
    intrinsics_from_pose_encoding,
    is_plausible_pose_encoding,
)
from mmp3d.structures import CameraBatch, PanopticReconstructionSample


def use_predicted_cameras(
    inputs: CameraBatch,
    pose_encoding: Float[Tensor, 'B 9'] | None,
    samples: Sequence[PanopticReconstructionSample],
) -> CameraBatch:
    """Give the batch with the predicted ``K`` and its frustum mask, where wanted.

    Wanted are the cameras of samples whose ``intrinsics_source`` is 'camera_head';
    their ``K`` is replaced, too. A sample whose predicted field of view is implausible
    keeps the dataset's camera that it came with: its source becomes 'dataset'.

    Args:
        inputs: With a stand-in for ``K``.
        pose_encoding: Translation, quaternion, field of view (vertical, horizontal) in
            radians, of the padded images.
        samples: One per image.

    Raises:
        UnknownCameraError: If a camera is wanted and the model predicts none.

    Source: VGGT, pose encoding ``absT_quaR_FoV``.

    Differs: the principal point is the centre of the image, not of the padded one.
    """
    wanted = [
        i for i, s in enumerate(samples) if s.get('intrinsics_source') == 'camera_head'
    ]
    if not wanted:
        return inputs
    if pose_encoding is None:
        raise UnknownCameraError(
            f'{samples[wanted[0]].img_path}: the camera shall be predicted, but the '
            "model has no camera head. Choose the camera 'dataset' or 'exif', or give "
            'the intrinsics.'
        )
    cameras, mask = inputs.K.clone(), inputs.frustum_mask
    mask = None if mask is None else mask.clone()
    for i in wanted:
        if not is_plausible_pose_encoding(pose_encoding[i]):
            samples[i].set_metainfo(dict(intrinsics_source='dataset'))
            continue
        size = inputs.image_sizes[i]
        K = intrinsics_from_pose_encoding(
            pose_encoding[i].to(cameras.dtype), inputs.padded_size, image_centre(size)
        )
        cameras[i] = K
        samples[i].set_metainfo(dict(K=K.cpu().numpy()))
        if mask is not None:
            mask[i] = frustum_mask(K, size, inputs.grid)
    return replace(inputs, K=cameras, frustum_mask=mask)
