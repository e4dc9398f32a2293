"""Backbones, key-compatible with their public weights: DINOv2, VGGT.

May import ``mmp3d.models.layers`` and what lies below models. Start reading at
``vggt.py``.
"""

from mmp3d.models.backbones.dinov2 import DINOv2, ImageTokens
from mmp3d.models.backbones.vggt import VGGT, Aggregator, resize_to_patches

__all__ = ['VGGT', 'Aggregator', 'DINOv2', 'ImageTokens', 'resize_to_patches']
