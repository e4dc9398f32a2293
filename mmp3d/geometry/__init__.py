"""Points, cameras, grids, distances: pure functions of tensors, no weights, no files.

May import ``structures`` and ``utils``. Start reading at ``camera.py``, then
``frustum.py``.
"""

from mmp3d.geometry.camera import (
    UnknownCameraError,
    crop_intrinsics,
    flip_intrinsics,
    flip_intrinsics_vertically,
    image_centre,
    intrinsics_from_pose_encoding,
    is_plausible_pose_encoding,
    project_points,
    scale_intrinsics,
    unproject_depth,
)
from mmp3d.geometry.frustum import (
    CameraToGrid,
    DepthPlanes,
    VisibleVoxels,
    camera_to_grid,
    centre_grid,
    frustum_mask,
    visible_voxels,
    voxel_axes,
    voxel_points,
)
from mmp3d.geometry.matrices import apply_matrix

__all__ = [
    'CameraToGrid',
    'DepthPlanes',
    'UnknownCameraError',
    'VisibleVoxels',
    'apply_matrix',
    'camera_to_grid',
    'centre_grid',
    'crop_intrinsics',
    'flip_intrinsics',
    'flip_intrinsics_vertically',
    'frustum_mask',
    'image_centre',
    'intrinsics_from_pose_encoding',
    'is_plausible_pose_encoding',
    'project_points',
    'scale_intrinsics',
    'unproject_depth',
    'visible_voxels',
    'voxel_axes',
    'voxel_points',
]
