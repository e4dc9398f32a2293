"""What acts at a moment of a run: hooks, and how checkpoints are read.

May import every room below. Start reading at ``hooks/``.
"""

from mmp3d.engine import checkpoint_loading
from mmp3d.engine.hooks import CheckpointKeysHook, ReconstructionVisualizationHook
from mmp3d.engine.optim_wrapper_constructor import PartwiseOptimWrapperConstructor

__all__ = [
    'CheckpointKeysHook',
    'PartwiseOptimWrapperConstructor',
    'ReconstructionVisualizationHook',
    'checkpoint_loading',
]
