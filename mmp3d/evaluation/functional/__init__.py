"""Counts and scores as pure functions of arrays.

May import everything up to ``mmp3d.sparse``. No registry, no files, no process group.
Start reading at ``panoptic_quality.py``.
"""

from mmp3d.evaluation.functional.depth_error import DepthErrorSums, depth_errors
from mmp3d.evaluation.functional.ground_truth import (
    image_ground_truth,
    volume_ground_truth,
)
from mmp3d.evaluation.functional.panoptic_quality import (
    PanopticCounts,
    PanopticScores,
    SegmentOverlaps,
    count_matches,
    overlaps,
)
from mmp3d.evaluation.functional.segment_cover import SegmentCover
from mmp3d.evaluation.functional.thickening import thickened_masks, thickened_segments

__all__ = [
    'DepthErrorSums',
    'PanopticCounts',
    'PanopticScores',
    'SegmentCover',
    'SegmentOverlaps',
    'count_matches',
    'depth_errors',
    'image_ground_truth',
    'overlaps',
    'thickened_masks',
    'thickened_segments',
    'volume_ground_truth',
]
