"""Detectors: the base class that runners talk to.

May import what ``mmp3d.models`` may. Start reading at ``base.py``.
"""

from mmp3d.models.detectors.base import ReconstructionDetector

__all__ = ['ReconstructionDetector']
