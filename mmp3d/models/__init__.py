"""Models and their parts; importing this package registers all of them.

May import structures, geometry, fileio and sparse. Start reading at
``detectors/base.py``, then ``backbones/vggt.py``.
"""

from mmp3d.models import (
    backbones,
    data_preprocessors,
    detectors,
    heads,
    layers,
    losses,
    matchers,
    necks,
    pixel_decoders,
    postprocess,
)

__all__ = [
    'backbones',
    'data_preprocessors',
    'detectors',
    'heads',
    'layers',
    'losses',
    'matchers',
    'necks',
    'pixel_decoders',
    'postprocess',
]
