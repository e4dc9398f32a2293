"""Sparse voxels and their layers: the one room that knows a sparse-convolution library.

May import ``structures`` and ``utils``. Start reading at ``voxels.py``, then
``layers.py``; ``reference.py`` is the truth that every backend is tested against.
"""

from mmp3d.sparse.backends import (
    available_backends,
    current_backend,
    set_backend,
    use_backend,
)
from mmp3d.sparse.cells import VoxelSet
from mmp3d.sparse.fused import FusedVoxels, fuse
from mmp3d.sparse.layers import (
    GenerativeUpConv3d,
    SparseConv3d,
    SparseLinear,
    SparseMaxPool3d,
    SparseNorm,
    SparseReLU,
    SubMConv3d,
    multiply_queries,
)
from mmp3d.sparse.voxels import (
    SparseVoxels,
    add,
    clip,
    concatenate,
    from_dense,
    inside,
    merge,
    on_cells,
    per_sample,
    prune,
    to_dense,
)

__all__ = [
    'FusedVoxels',
    'GenerativeUpConv3d',
    'SparseConv3d',
    'SparseLinear',
    'SparseMaxPool3d',
    'SparseNorm',
    'SparseReLU',
    'SparseVoxels',
    'SubMConv3d',
    'VoxelSet',
    'add',
    'available_backends',
    'clip',
    'concatenate',
    'current_backend',
    'from_dense',
    'fuse',
    'inside',
    'merge',
    'multiply_queries',
    'on_cells',
    'per_sample',
    'prune',
    'set_backend',
    'to_dense',
    'use_backend',
]
