"""From what a model predicts to what a user reads: segments out of queries.

May import structures. Start reading at ``panoptic_fusion.py``.
"""

from mmp3d.models.postprocess.panoptic_fusion import (
    FactoredMasks,
    FusionRules,
    fuse_queries,
)

__all__ = ['FactoredMasks', 'FusionRules', 'fuse_queries']
