"""Arrays in npz archives: label maps, voxel volumes, masks."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from typing import IO

import numpy as np
from jaxtyping import Shaped

from mmp3d.fileio.errors import CorruptFileError, PathLike, existing_file
from mmp3d.fileio.paths import atomic_write

# Level 1 of zlib: volumes are mostly constant, so higher levels save little and cost
# several times the time.
_COMPRESS_LEVEL = 1
_CHUNK = 1 << 18
_MAX_HEADER = 10_000
_KIND_NAMES = {'i': 'int', 'u': 'unsigned int', 'f': 'float', 'b': 'bool'}


def read_npz(
    path: PathLike,
    key: str,
    ndim: int | tuple[int, ...] | None = None,
    kinds: str = 'iufb',
    shape: tuple[int | None, ...] | None = None,
) -> Shaped[np.ndarray, ...]:
    """Read one array of an npz archive; nothing in it is ever unpickled.

    The header is checked before the values are decompressed.

    Args:
        path: The archive.
        key: Name of the array.
        ndim: Number of axes, or several that are allowed; ``None``: any.
        kinds: Allowed numpy kinds: i, u, f, b.
        shape: Exact shape, ``None`` for a free axis; ``None``: any.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If the archive is broken, has no array of this name, or the
            array holds Python objects or has another kind or shape.
    """
    path = existing_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return _read_member(path, archive, key, ndim, kinds, shape)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise CorruptFileError(path, f'not a readable npz file ({error})') from error
    except (NotImplementedError, RuntimeError) as error:  # odd or encrypted zip files
        raise CorruptFileError(path, f'not a plain npz file ({error})') from error


def npz_keys(path: PathLike) -> tuple[str, ...]:
    """Names of the arrays of an npz archive.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If the archive is broken.
    """
    path = existing_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(name.removesuffix('.npy') for name in archive.namelist())
    except (zipfile.BadZipFile, OSError) as error:
        raise CorruptFileError(path, f'not a readable npz file ({error})') from error


def read_npy(
    path: PathLike,
    kinds: str = 'iufb',
    shape: tuple[int | None, ...] | None = None,
) -> Shaped[np.ndarray, ...]:
    """Read a small array file; nothing in it is ever unpickled.

    Args:
        path: The npy file.
        kinds: Allowed numpy kinds: i, u, f, b.
        shape: Exact shape, ``None`` for a free axis; ``None``: any.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If it is broken, holds Python objects, or has another kind or
            shape.
    """
    path = existing_file(path)
    with path.open('rb') as stream:
        found, fortran, dtype = _read_header(path, stream)
        check_array(path, 'array', dtype, found, None, kinds, shape)
        content = stream.read()
    expected = math.prod(found) * dtype.itemsize
    if len(content) != expected:
        raise CorruptFileError(
            path, f'expected {expected} bytes of numbers, got {len(content)}'
        )
    values = np.frombuffer(content, dtype).reshape(found, order='F' if fortran else 'C')
    return values.copy()


def write_npy(path: PathLike, array: Shaped[np.ndarray, ...]) -> None:
    """Write one array.

    Raises:
        TypeError: If it holds Python objects.
    """
    array = np.asarray(array, order='C')
    if array.dtype.hasobject:
        raise TypeError(f'{path}: the array holds Python objects; give numbers.')
    with atomic_write(path) as temporary, temporary.open('wb') as stream:
        np.lib.format.write_array(stream, array, allow_pickle=False)


def _read_member(
    path: PathLike,
    archive: zipfile.ZipFile,
    key: str,
    ndim: int | tuple[int, ...] | None,
    kinds: str,
    shape: tuple[int | None, ...] | None,
) -> Shaped[np.ndarray, ...]:
    names = [name.removesuffix('.npy') for name in archive.namelist()]
    if key not in names:
        raise CorruptFileError(
            path, f'expected an array named {key!r}, the file has {sorted(names)}'
        )
    with archive.open(f'{key}.npy') as stream:
        array_shape, fortran, dtype = _read_header(path, stream)
        check_array(path, key, dtype, array_shape, ndim, kinds, shape)
        num_bytes = math.prod(array_shape) * dtype.itemsize
        in_archive = archive.getinfo(f'{key}.npy').file_size
        if num_bytes > in_archive:  # before so much memory is asked for
            raise CorruptFileError(
                path,
                f'{key!r} claims the shape {array_shape}, {num_bytes} bytes, and the '
                f'archive has {in_archive} of them',
            )
        values = np.empty(math.prod(array_shape), dtype)
        view = memoryview(values.view(np.uint8))
        filled = 0
        while filled < len(view):
            count = stream.readinto(view[filled : filled + _CHUNK])
            if not count:
                raise CorruptFileError(
                    path, f'{key!r} ends after {filled} of {len(view)} bytes'
                )
            filled += count
        if stream.read(1):
            raise CorruptFileError(path, f'{key!r} is longer than its header says')
    return values.reshape(array_shape, order='F' if fortran else 'C')


def _read_header(
    path: PathLike, stream: IO[bytes]
) -> tuple[tuple[int, ...], bool, np.dtype]:
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    try:
        version = np.lib.format.read_magic(stream)
        reader = readers.get(version, np.lib.format.read_array_header_2_0)
        return reader(stream, max_header_size=_MAX_HEADER)
    except ValueError as error:
        raise CorruptFileError(path, f'broken array header ({error})') from error


def check_array(
    path: PathLike,
    key: str,
    dtype: np.dtype,
    found: tuple[int, ...],
    ndim: int | tuple[int, ...] | None = None,
    kinds: str = 'iufb',
    shape: tuple[int | None, ...] | None = None,
) -> None:
    """Raise unless an array is what was asked for.

    Args:
        path: Its file.
        key: Its name there.
        dtype: Of the array.
        found: Its shape.
        ndim: Number of axes, or several that are allowed; ``None``: any.
        kinds: Allowed numpy kinds: i, u, f, b.
        shape: Exact shape, ``None`` for a free axis; ``None``: any.

    Raises:
        CorruptFileError: If it has Python objects, another kind or another shape.
    """
    if dtype.hasobject:
        raise CorruptFileError(
            path,
            f'{key!r} holds Python objects',
            'They are not read, because reading them could run code; save numbers.',
        )
    if dtype.kind not in kinds:
        wanted = ' or '.join(_KIND_NAMES[k] for k in kinds if k in _KIND_NAMES)
        raise CorruptFileError(path, f'{key!r} must be {wanted}, got dtype {dtype}')
    allowed = (ndim,) if isinstance(ndim, int) else ndim
    if allowed is not None and len(found) not in allowed:
        raise CorruptFileError(
            path, f'{key!r} must have {allowed} axes, got the shape {found}'
        )
    fits = shape is None or (
        len(found) == len(shape)
        and all(want in (None, got) for want, got in zip(shape, found, strict=True))
    )
    if not fits:
        raise CorruptFileError(
            path,
            f'{key!r} must have the shape {shape}, got {found}',
            'Check the size that the config asks for, or generate the file again.',
        )


def write_npz(path: PathLike, **arrays: Shaped[np.ndarray, ...]) -> None:
    """Write arrays to a compressed npz archive: equal arrays give equal bytes.

    Raises:
        TypeError: If an array holds Python objects.
        ValueError: If there is no array.
    """
    if not arrays:
        raise ValueError(f'{path}: give at least one array to write.')
    for key, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise TypeError(f'{path}: {key!r} holds Python objects; give numbers.')
    with (
        atomic_write(path) as temporary,
        zipfile.ZipFile(temporary, 'w') as archive,
    ):
        for key, array in arrays.items():
            # A fixed date instead of now is what makes the bytes repeatable.
            member = zipfile.ZipInfo(f'{key}.npy', date_time=(1980, 1, 1, 0, 0, 0))
            member.external_attr = 0o644 << 16
            content = io.BytesIO()
            np.lib.format.write_array(
                content, np.asarray(array, order='C'), allow_pickle=False
            )
            archive.writestr(
                member, content.getbuffer(), zipfile.ZIP_DEFLATED, _COMPRESS_LEVEL
            )
