"""Losses that a second system could use: of masks, of depth.

May import structures and geometry. Start reading at ``mask_losses.py``.
"""

from mmp3d.models.losses.depth_losses import depth_l1, resize_depth
from mmp3d.models.losses.mask_losses import mask_bce, mask_dice, weighted_mean

__all__ = ['depth_l1', 'mask_bce', 'mask_dice', 'resize_depth', 'weighted_mean']
