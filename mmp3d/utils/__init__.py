"""Helpers that know nothing of the field: checks and their error messages, freezing.

May import nothing of mmp3d. Start reading at ``checks.py``.
"""

from mmp3d.utils.checks import check_choice, check_positive, nearest_name
from mmp3d.utils.freezing import freeze_modules, keep_frozen_in_eval
from mmp3d.utils.precision import without_autocast
from mmp3d.utils.randomness import derive_seed, seed_generators, seeded

__all__ = [
    'check_choice',
    'check_positive',
    'derive_seed',
    'freeze_modules',
    'keep_frozen_in_eval',
    'nearest_name',
    'seed_generators',
    'seeded',
    'without_autocast',
]
