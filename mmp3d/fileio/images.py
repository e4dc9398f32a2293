"""Colour images and 16-bit grey images."""

from __future__ import annotations

import math
import struct
import warnings
import zlib
from collections.abc import Mapping

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import ExifTags, Image, ImageOps

from mmp3d.fileio.errors import CorruptFileError, PathLike, existing_file
from mmp3d.fileio.paths import atomic_write
from mmp3d.structures import PLAUSIBLE_FIELD_OF_VIEW

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

_FILM_DIAGONAL = math.hypot(36, 24)  # millimetres of a 35 mm frame
# FocalPlaneResolutionUnit in millimetres: inch, centimetre, millimetre, micrometre.
_UNITS = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
_SAME_ASPECT = 0.02  # share by which rounding may change an aspect ratio


def read_image(path: PathLike) -> UInt8[np.ndarray, 'H W 3']:
    """Read an image as RGB, upright as its EXIF orientation says.

    An image whose EXIF block is broken is taken as upright.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If it is truncated, no image, or not an 8-bit one.
    """
    path = existing_file(path)
    try:
        with Image.open(path) as image:
            image.load()
            upright = _turned_upright(image)
    except _BROKEN as error:
        raise CorruptFileError(path, f'not a readable image ({error})') from error
    if upright.mode[0] in 'IF':
        raise CorruptFileError(
            path,
            f'expected an 8-bit image, got PIL mode {upright.mode!r}',
            'Convert it to 8-bit RGB.',
        )
    return np.array(upright.convert('RGB'))


def _turned_upright(image: Image.Image) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of a broken EXIF block
        try:
            return ImageOps.exif_transpose(image)
        except _BROKEN:
            return image


def read_exif_focal(path: PathLike) -> float | None:
    """Give the focal length that an image's EXIF block tells, in pixels of the image.

    Read are the length for a 35 mm film, else the true length with the resolution of
    the focal plane. Pixels are taken as square, so it holds for the upright image, too.
    If the file was resized since, it holds for the pixels it has now.

    Returns:
        ``None`` if EXIF is absent, broken or silent; if the field of view would not be
        plausible; or if the image was cropped after it was taken (its aspect ratio is
        not the recorded one), so that nobody knows what is left of the view.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If it is no image.

    Source: Exif 2.32 (CIPA DC-008), section 4.6.5; the 35 mm length compares diagonals
        (CIPA DCG-001).
    """
    path = existing_file(path)
    try:
        image = Image.open(path)
    except _BROKEN as error:
        raise CorruptFileError(path, f'not a readable image ({error})') from error
    with image, warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of a broken EXIF block
        size = image.size
        try:
            tags = dict(image.getexif().get_ifd(ExifTags.IFD.Exif))
        except _BROKEN:
            return None
    focal = _focal_of(tags, size)
    return focal if focal is not None and _is_plausible(focal, size) else None


def _focal_of(tags: Mapping[int, object], size: tuple[int, int]) -> float | None:
    diagonal = math.hypot(*size)
    width = _positive(tags, ExifTags.Base.ExifImageWidth)
    height = _positive(tags, ExifTags.Base.ExifImageHeight)
    recorded = diagonal
    if width is not None and height is not None:
        # Some programs turn the pixels and leave the recorded size.
        aspects = [max(s) / min(s) for s in ((width, height), size)]
        if abs(aspects[0] / aspects[1] - 1) > _SAME_ASPECT + 1 / min(size):
            return None
        recorded = math.hypot(width, height)
    on_film = _positive(tags, ExifTags.Base.FocalLengthIn35mmFilm)
    if on_film is not None:
        return on_film / _FILM_DIAGONAL * diagonal
    length = _positive(tags, ExifTags.Base.FocalLength)  # millimetres
    along_x = _positive(tags, ExifTags.Base.FocalPlaneXResolution)  # pixels per unit
    along_y = _positive(tags, ExifTags.Base.FocalPlaneYResolution) or along_x
    unit = _UNITS.get(tags.get(ExifTags.Base.FocalPlaneResolutionUnit, 2))
    if length is None or along_x is None or unit is None:
        return None
    return length * math.sqrt(along_x * along_y) / unit * diagonal / recorded


def _positive(tags: Mapping[int, object], tag: int) -> float | None:
    """A tag as a number above zero; ``None`` if it is absent or anything else."""
    try:
        value = float(tags[tag])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return value if math.isfinite(value) and value > 0 else None


def _is_plausible(focal: float, size: tuple[int, int]) -> bool:
    narrowest, widest = PLAUSIBLE_FIELD_OF_VIEW
    return narrowest <= 2 * math.atan2(max(size), 2 * focal) <= widest


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
