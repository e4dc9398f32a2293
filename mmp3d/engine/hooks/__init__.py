"""Hooks of runners.

May import every room below. Start reading at ``checkpoint_keys_hook.py``.
"""

from mmp3d.engine.hooks.checkpoint_keys_hook import CheckpointKeysHook
from mmp3d.engine.hooks.visualization_hook import ReconstructionVisualizationHook

__all__ = ['CheckpointKeysHook', 'ReconstructionVisualizationHook']
