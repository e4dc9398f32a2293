"""Draw samples: colours, a renderer that needs no display, panels, the visualizer.

May import everything up to ``mmp3d.sparse``. Start reading at ``panel.py``.
"""

from mmp3d.visualization.colormaps import (
    colorize_depth,
    colorize_mesh,
    colorize_panoptic,
    segment_colors,
)
from mmp3d.visualization.panel import sample_panel
from mmp3d.visualization.reconstruction_visualizer import ReconstructionVisualizer
from mmp3d.visualization.scene_renderer import Viewpoint, overview, render_mesh
from mmp3d.visualization.truth import panoptic_of_maps

__all__ = [
    'ReconstructionVisualizer',
    'Viewpoint',
    'colorize_depth',
    'colorize_mesh',
    'colorize_panoptic',
    'overview',
    'panoptic_of_maps',
    'render_mesh',
    'sample_panel',
    'segment_colors',
]
