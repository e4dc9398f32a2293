"""Hooks of runners.

May import every room below. Start reading at ``checkpoint_keys_hook.py``.
"""

from mmp3d.engine.hooks.checkpoint_keys_hook import CheckpointKeysHook
from mmp3d.engine.hooks.exact_resume_hook import ExactResumeHook
from mmp3d.engine.hooks.graceful_stop_hook import STOPPED_EXIT_CODE, GracefulStopHook
from mmp3d.engine.hooks.stop_on_non_finite_loss_hook import StopOnNonFiniteLossHook
from mmp3d.engine.hooks.visualization_hook import ReconstructionVisualizationHook
from mmp3d.engine.hooks.whole_checkpoint_hook import WholeCheckpointHook

__all__ = [
    'STOPPED_EXIT_CODE',
    'CheckpointKeysHook',
    'ExactResumeHook',
    'GracefulStopHook',
    'ReconstructionVisualizationHook',
    'StopOnNonFiniteLossHook',
    'WholeCheckpointHook',
]
