"""SynthRooms: procedural indoor rooms with exact ground truth, in 3D-Front's layout.

May import ``mmp3d.fileio``, ``geometry``, ``structures``, ``utils``. Start reading
at ``generator.py``; ``layout.py`` furnishes, ``render.py`` and ``volumes.py`` measure.
"""

from mmp3d.testing.synth_rooms.generator import (
    SPLITS,
    SynthRoomsSpec,
    SynthSample,
    generate_sample,
    scene_name,
)
from mmp3d.testing.synth_rooms.matterport_writer import MATTERPORT_LAYOUT
from mmp3d.testing.synth_rooms.writer import (
    FRONT3D_LAYOUT,
    Layout,
    make_dataset,
    sample_files,
    write_sample,
)

__all__ = [
    'FRONT3D_LAYOUT',
    'MATTERPORT_LAYOUT',
    'SPLITS',
    'Layout',
    'SynthRoomsSpec',
    'SynthSample',
    'generate_sample',
    'make_dataset',
    'sample_files',
    'scene_name',
    'write_sample',
]
