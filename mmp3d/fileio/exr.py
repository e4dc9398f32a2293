"""Depth maps as single-channel OpenEXR files."""

from __future__ import annotations

import numpy as np
import OpenEXR
from jaxtyping import Float, Float32

from mmp3d.fileio.errors import CorruptFileError, PathLike, existing_file
from mmp3d.fileio.paths import atomic_write

_DEPTH_CHANNELS = ('Z', 'Y', 'V', 'R')


def read_exr(path: PathLike) -> Float32[np.ndarray, 'H W']:
    """Read one channel of an OpenEXR file.

    A file with several channels is read too if they are all equal, as renderers write
    depth.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If it is truncated, no EXR file, or its channels differ.
    """
    path = existing_file(path)
    try:
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels = {name: c.pixels for name, c in file.channels().items()}
    except (RuntimeError, ValueError, TypeError, OSError) as error:
        raise CorruptFileError(path, f'not a readable EXR file ({error})') from error
    colour = {name: c for name, c in channels.items() if name != 'A'}
    if not colour:
        raise CorruptFileError(path, 'the EXR file has no channel')
    names = [n for n in _DEPTH_CHANNELS if n in colour] + sorted(colour)
    chosen = colour[names[0]]
    same = (np.array_equal(chosen, c, equal_nan=True) for c in colour.values())
    if not all(same):
        raise CorruptFileError(
            path,
            f'expected one depth channel, got {sorted(colour)} with different values',
        )
    if chosen.ndim != 2:
        raise CorruptFileError(path, f'expected H W pixels, got {chosen.shape}')
    return np.array(chosen, dtype=np.float32)


def write_exr(path: PathLike, depth: Float[np.ndarray, 'H W']) -> None:
    """Write one map losslessly into channel Z.

    Raises:
        ValueError: If the array is not a floating-point map ``H W``.
    """
    if depth.ndim != 2 or depth.dtype.kind != 'f' or depth.size == 0:
        raise ValueError(
            f'{path}: an EXR map must be float H W and not empty, got {depth.dtype} '
            f'{depth.shape}.'
        )
    # OpenEXR writes slices and transposed arrays wrong without an error.
    pixels = np.ascontiguousarray(depth, dtype=np.float32)
    header = {'compression': OpenEXR.ZIP_COMPRESSION, 'type': OpenEXR.scanlineimage}
    with atomic_write(path) as temporary, OpenEXR.File(header, {'Z': pixels}) as file:
        file.write(str(temporary))
