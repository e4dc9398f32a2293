"""Furniture of every class, built from parts.

May import ``shapes.py`` and ``textures.py``. Every ``build_*`` draws size and style of
one piece, which stands on z = 0, its back towards +y. Start reading at ``base.py``.
"""

from mmp3d.testing.synth_rooms.furniture.base import (
    Builder,
    Furniture,
    Palette,
    draw_palette,
    pick,
)
from mmp3d.testing.synth_rooms.furniture.decor import (
    build_boxes,
    build_monitor,
    build_plant,
    build_pouf,
    build_television,
    build_vase,
)
from mmp3d.testing.synth_rooms.furniture.lamps import (
    build_floor_lamp,
    build_pendant_lamp,
    build_table_lamp,
)
from mmp3d.testing.synth_rooms.furniture.seating import (
    build_bed,
    build_chair,
    build_office_chair,
    build_sofa,
)
from mmp3d.testing.synth_rooms.furniture.storage import (
    build_bookshelf,
    build_dresser,
    build_nightstand,
    build_sideboard,
    build_wardrobe,
)
from mmp3d.testing.synth_rooms.furniture.tables import (
    build_coffee_table,
    build_desk,
    build_dining_table,
    build_round_table,
)

__all__ = [
    'Builder',
    'Furniture',
    'Palette',
    'build_bed',
    'build_bookshelf',
    'build_boxes',
    'build_chair',
    'build_coffee_table',
    'build_desk',
    'build_dining_table',
    'build_dresser',
    'build_floor_lamp',
    'build_monitor',
    'build_nightstand',
    'build_office_chair',
    'build_pendant_lamp',
    'build_plant',
    'build_pouf',
    'build_round_table',
    'build_sideboard',
    'build_sofa',
    'build_table_lamp',
    'build_television',
    'build_vase',
    'build_wardrobe',
    'draw_palette',
    'pick',
]
