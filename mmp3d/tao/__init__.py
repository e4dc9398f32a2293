"""For those who come from NVIDIA TAO: their specs and command lines, on our runner.

May import every room below. Start reading at ``convert.py``; ``*_keys.py`` say what
every documented key becomes.
"""

from mmp3d.tao.convert import KEYS, Conversion, convert, keys_table
from mmp3d.tao.spec import Spec, SpecError, read_spec

__all__ = [
    'KEYS',
    'Conversion',
    'Spec',
    'SpecError',
    'convert',
    'keys_table',
    'read_spec',
]
