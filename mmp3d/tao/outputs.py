"""The arrays that the product's documentation promises, as one file per image."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmp3d.fileio import write_npz
from mmp3d.structures import PanopticReconstructionSample

FILE_NAME = 'tao_outputs.npz'


def tao_outputs(sample: PanopticReconstructionSample) -> dict[str, np.ndarray]:
    """Give the documented arrays of one image.

    ``panoptic_seg_2d`` (int32 ids, 0 = void) and ``depth_2d`` (float32 metres): over
    the reduced plane, (120, 160) in the published model, where the model predicts in
    3D, else over the image. In 3D also ``geometry_3d`` (float32, unsigned distance in
    voxels, truncated), ``semantic_seg_3d`` (int32 labels) and ``panoptic_seg_3d``
    (int32 ids, 0 = free space), over ``X Y Z`` (x right, y down, z forward).

    Args:
        sample: Predictions in main memory.
    """
    with_3d = 'pred_volume_seg' in sample
    seg, depth = (
        (sample.pred_plane_panoptic_seg, sample.pred_plane_depth)
        if with_3d
        else (sample.pred_panoptic_seg, sample.pred_depth_map)
    )
    arrays = dict(
        panoptic_seg_2d=seg.ids.cpu().numpy().astype(np.int32),
        depth_2d=depth.depth[0].cpu().numpy().astype(np.float32),
    )
    if with_3d:
        volume = sample.pred_volume_seg.cpu()
        arrays.update(
            geometry_3d=sample.pred_volume.tudf.cpu().numpy().astype(np.float32),
            semantic_seg_3d=volume.semantic().numpy().astype(np.int32),
            panoptic_seg_3d=volume.ids.numpy().astype(np.int32),
        )
    return arrays


def write_tao_outputs(sample: PanopticReconstructionSample, folder: Path) -> Path:
    """Write the documented arrays of one image; gives the path of the file."""
    path = Path(folder) / FILE_NAME
    write_npz(path, **tao_outputs(sample))
    return path
