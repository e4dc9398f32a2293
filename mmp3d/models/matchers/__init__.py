"""Which query answers for which target: one-to-one assignment.

May import structures, geometry and mmdet's task modules. Start reading at
``mask_matcher.py``.
"""

from mmp3d.models.matchers.mask_matcher import MaskMatcher, Matching

__all__ = ['MaskMatcher', 'Matching']
