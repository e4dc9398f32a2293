"""NvPanoptix3D: what belongs to this system only; importing it registers its parts.

May import everything of ``mmp3d``, and no other project. Start reading at
``detector.py``: it is the straight line.
"""

from projects.NvPanoptix3D.nvpanoptix3d.depth_aware_decoder import DepthAwareDecoder
from projects.NvPanoptix3D.nvpanoptix3d.depth_projector import DepthProjector
from projects.NvPanoptix3D.nvpanoptix3d.detector import NvPanoptix3D
from projects.NvPanoptix3D.nvpanoptix3d.feature_projector import FeatureProjector
from projects.NvPanoptix3D.nvpanoptix3d.frustum_branch import FrustumBranch
from projects.NvPanoptix3D.nvpanoptix3d.frustum_decoder import FrustumDecoder
from projects.NvPanoptix3D.nvpanoptix3d.frustum_losses import FrustumCriterion
from projects.NvPanoptix3D.nvpanoptix3d.occupancy_lifting import OccupancyLifting
from projects.NvPanoptix3D.nvpanoptix3d.panoptic_depth_criterion import (
    PanopticDepthCriterion,
)
from projects.NvPanoptix3D.nvpanoptix3d.panoptic_depth_head import PanopticDepthHead
from projects.NvPanoptix3D.nvpanoptix3d.plane_occupancy_head import PlaneOccupancyHead
from projects.NvPanoptix3D.nvpanoptix3d.surface_lifting import SurfaceLifting
from projects.NvPanoptix3D.nvpanoptix3d.transforms import PlaneOccupancyTarget

__all__ = [
    'DepthAwareDecoder',
    'DepthProjector',
    'FeatureProjector',
    'FrustumBranch',
    'FrustumCriterion',
    'FrustumDecoder',
    'NvPanoptix3D',
    'OccupancyLifting',
    'PanopticDepthCriterion',
    'PanopticDepthHead',
    'PlaneOccupancyHead',
    'PlaneOccupancyTarget',
    'SurfaceLifting',
]
