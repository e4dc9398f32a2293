"""Necks: what turns a backbone's features into those a head wants.

May import ``mmp3d.models.layers`` and what lies below models. Start reading at
``token_pyramid.py``.
"""

from mmp3d.models.necks.token_pyramid import TokenPyramid

__all__ = ['TokenPyramid']
