"""Sparse voxels and their layers: the only room that knows a sparse-convolution library.

May import ``structures`` and ``utils``. Start reading at ``voxels.py``, then
``layers.py``; ``reference.py`` is the truth that every backend is tested against.
"""

from mmp3d.sparse.voxels import SparseVoxels

__all__ = ['SparseVoxels']
