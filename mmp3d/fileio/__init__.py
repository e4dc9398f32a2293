"""The only room that opens files: images, EXR maps, volumes, annotations, weights.

May import ``mmp3d.structures`` and below. Guards against broken files, so that nobody
else has to; start reading at ``errors.py``, then ``volumes.py``.
"""

from mmp3d.fileio.annotations import (
    IndexRecord,
    check_label_map,
    read_index,
    read_json,
    write_index,
    write_json,
    write_label_map,
)
from mmp3d.fileio.checkpoints import read_checkpoint, write_safetensors
from mmp3d.fileio.errors import CorruptFileError, existing_file
from mmp3d.fileio.exr import read_exr, write_exr
from mmp3d.fileio.images import (
    read_exif_focal,
    read_gray16,
    read_image,
    write_gray16,
    write_image,
)
from mmp3d.fileio.meshes import write_glb
from mmp3d.fileio.paths import atomic_write, safe_join
from mmp3d.fileio.volume_cache import (
    SparseArray,
    cache_path,
    load_cached,
    read_volume_cache,
    write_volume_cache,
)
from mmp3d.fileio.volumes import (
    check_array,
    npz_keys,
    read_npy,
    read_npz,
    write_npy,
    write_npz,
)

__all__ = [
    'CorruptFileError',
    'IndexRecord',
    'SparseArray',
    'atomic_write',
    'cache_path',
    'check_array',
    'check_label_map',
    'existing_file',
    'load_cached',
    'npz_keys',
    'read_checkpoint',
    'read_exif_focal',
    'read_exr',
    'read_gray16',
    'read_image',
    'read_index',
    'read_json',
    'read_npy',
    'read_npz',
    'read_volume_cache',
    'safe_join',
    'write_exr',
    'write_glb',
    'write_gray16',
    'write_image',
    'write_index',
    'write_json',
    'write_label_map',
    'write_npy',
    'write_npz',
    'write_safetensors',
    'write_volume_cache',
]
