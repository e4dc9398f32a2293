"""What is handed on: frozen dataclasses and mmengine data elements, no algorithms.

May import ``mmp3d.utils`` and ``mmp3d.registry``. Start reading at ``camera_batch.py``.
"""

from mmp3d.structures.camera_batch import PLAUSIBLE_FIELD_OF_VIEW, CameraBatch
from mmp3d.structures.features import (
    GeometryFeatures,
    PixelFeatures,
    QueryPredictions,
)
from mmp3d.structures.frustum_grid import FrustumGrid
from mmp3d.structures.label_space import FRONT3D, MATTERPORT3D, LabelSpace
from mmp3d.structures.panoptic_reconstruction_sample import (
    PanopticReconstructionSample,
)
from mmp3d.structures.segmentation import PanopticSegmentation, Segment
from mmp3d.structures.triangle_mesh import TriangleMesh
from mmp3d.structures.volume_data import VolumeData

__all__ = [
    'FRONT3D',
    'MATTERPORT3D',
    'PLAUSIBLE_FIELD_OF_VIEW',
    'CameraBatch',
    'FrustumGrid',
    'GeometryFeatures',
    'LabelSpace',
    'PanopticReconstructionSample',
    'PanopticSegmentation',
    'PixelFeatures',
    'QueryPredictions',
    'Segment',
    'TriangleMesh',
    'VolumeData',
]
