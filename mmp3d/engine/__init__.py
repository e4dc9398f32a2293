"""What acts at a moment of a run: hooks, and how checkpoints are read.

May import every room below. Start reading at ``hooks/``.
"""

from mmp3d.engine import checkpoint_loading
from mmp3d.engine.autocast_optim_wrapper import AutocastOptimWrapper
from mmp3d.engine.hooks import (
    STOPPED_EXIT_CODE,
    CheckpointKeysHook,
    ExactResumeHook,
    GracefulStopHook,
    ReconstructionVisualizationHook,
    StopOnNonFiniteLossHook,
    WholeCheckpointHook,
)
from mmp3d.engine.optim_wrapper_constructor import PartwiseOptimWrapperConstructor

__all__ = [
    'STOPPED_EXIT_CODE',
    'AutocastOptimWrapper',
    'CheckpointKeysHook',
    'ExactResumeHook',
    'GracefulStopHook',
    'PartwiseOptimWrapperConstructor',
    'ReconstructionVisualizationHook',
    'StopOnNonFiniteLossHook',
    'WholeCheckpointHook',
    'checkpoint_loading',
]
