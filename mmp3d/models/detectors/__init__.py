"""Detectors: the base class that runners talk to.

May import what ``mmp3d.models`` may. Start reading at ``base.py``.
"""

from mmp3d.models.detectors.base import ReconstructionDetector
from mmp3d.models.detectors.predicted_cameras import use_predicted_cameras

__all__ = ['ReconstructionDetector', 'use_predicted_cameras']
