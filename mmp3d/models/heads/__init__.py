"""Heads with a published name of their own: DPT depth, camera.

May import ``mmp3d.models.layers`` and what lies below models. Start reading at
``dpt_head.py``.
"""

from mmp3d.models.heads.camera_head import CameraHead
from mmp3d.models.heads.dpt_head import DepthMaps, DPTHead

__all__ = ['CameraHead', 'DPTHead', 'DepthMaps']
