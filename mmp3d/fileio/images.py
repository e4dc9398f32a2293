"""Colour images and 16-bit grey images."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image, ImageOps

from mmp3d.fileio.errors import CorruptFileError, PathLike, existing_file
from mmp3d.fileio.paths import atomic_write

# Everything that PIL raises for broken bytes; a truncated PNG is an OSError or a
# SyntaxError, depending on where it ends.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


def read_image(path: PathLike) -> UInt8[np.ndarray, 'H W 3']:
    """Read an image as RGB, upright as its EXIF orientation says.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If it is truncated, no image, or not an 8-bit one.
    """
    path = existing_file(path)
    try:
        with Image.open(path) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
    except _BROKEN as error:
        raise CorruptFileError(path, f'not a readable image ({error})') from error
    if upright.mode[0] in 'IF':
        raise CorruptFileError(
            path,
            f'expected an 8-bit image, got PIL mode {upright.mode!r}',
            'Convert it to 8-bit RGB.',
        )
    return np.array(upright.convert('RGB'))


def write_image(path: PathLike, rgb: UInt8[np.ndarray, 'H W 3']) -> None:
    """Write an RGB image; the suffix names the format (.png, .jpg).

    Raises:
        ValueError: If the array is not uint8 ``H W 3``.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ValueError(
            f'{path}: an image must be uint8 H W 3, got {rgb.dtype} {rgb.shape}.'
        )
    with atomic_write(path) as temporary:
        Image.fromarray(np.ascontiguousarray(rgb)).save(temporary)


def read_gray16(path: PathLike) -> UInt16[np.ndarray, 'H W']:
    """Read a single-channel PNG of 8 or 16 bits.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If it is truncated or has several channels.
    """
    path = existing_file(path)
    try:
        with Image.open(path) as image:
            image.load()
            mode, values = image.mode, np.array(image)
    except _BROKEN as error:
        raise CorruptFileError(path, f'not a readable image ({error})') from error
    if mode not in ('L', 'I', 'I;16', 'I;16B'):
        raise CorruptFileError(
            path, f'expected one channel of 8 or 16 bits, got PIL mode {mode!r}'
        )
    if values.size and not 0 <= values.min() <= values.max() <= 65535:
        raise CorruptFileError(path, 'values do not fit into 16 bits')
    return values.astype(np.uint16)


def write_gray16(path: PathLike, values: UInt16[np.ndarray, 'H W']) -> None:
    """Write a single-channel 16-bit PNG.

    Raises:
        ValueError: If the array is not uint16 ``H W``.
    """
    if values.dtype != np.uint16 or values.ndim != 2:
        raise ValueError(
            f'{path}: a grey image must be uint16 H W, got {values.dtype} '
            f'{values.shape}.'
        )
    with atomic_write(path) as temporary:
        Image.fromarray(np.ascontiguousarray(values)).save(temporary, format='PNG')
