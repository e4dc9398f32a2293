"""The metrics that a config names: they read samples, count, and report.

May import everything up to ``mmp3d.sparse``, and ``evaluation.functional``.
Start reading at ``panoptic_reconstruction_quality.py``.
"""

from mmp3d.evaluation.metrics.depth_error import DepthError
from mmp3d.evaluation.metrics.image_panoptic_quality import ImagePanopticQuality
from mmp3d.evaluation.metrics.panoptic_reconstruction_quality import (
    PanopticReconstructionQuality,
)

__all__ = ['DepthError', 'ImagePanopticQuality', 'PanopticReconstructionQuality']
