"""Compare predictions with the truth: panoptic quality in 2D and 3D, depth errors.

May import everything up to ``mmp3d.sparse``. Metrics read samples only, never a model.
Start reading at ``functional/panoptic_quality.py``.
"""

from mmp3d.evaluation.metrics import (
    DepthError,
    ImagePanopticQuality,
    PanopticReconstructionQuality,
)

__all__ = ['DepthError', 'ImagePanopticQuality', 'PanopticReconstructionQuality']
