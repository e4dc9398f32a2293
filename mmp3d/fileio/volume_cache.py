"""A copy of volume files that keeps only the voxels that differ from the background.

The published npz files are dense and compressed: unpacking one takes longer than a
training step of the loader's share. A cache file holds the same arrays bit for bit, as
runs along the last axis. Its header names the source file by size, modification time
and SHA-256, and its content is checked by a CRC at every load: a file that is stale or
damaged is made again, never used.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int, Shaped

from mmp3d.fileio.errors import CorruptFileError, PathLike, existing_file
from mmp3d.fileio.paths import atomic_write
from mmp3d.fileio.volumes import npz_keys, read_npz

_MAGIC = b'MMP3DVX1'
_PREFIX = struct.Struct('<8sII')  # magic, bytes of the header, CRC of the header
_MAX_HEADER = 1 << 16
_REBUILD = 'Delete it; it is made again from its source.'
# The background is the most frequent value among so many samples.
_SAMPLES = 4096


@dataclass(frozen=True)
class SparseArray:
    """An array as its background and runs of other values along the last axis.

    Attributes:
        shape: Of the dense array.
        background: Value of every cell outside the runs.
        starts: Flat index of the first cell of each run, ascending.
        lengths: Number of cells of each run; a run stays within one row.
        values: Values of all runs, one after the other.
    """

    shape: tuple[int, ...]
    background: np.generic
    starts: Int[np.ndarray, ' R']
    lengths: Int[np.ndarray, ' R']
    values: Shaped[np.ndarray, ' N']

    @classmethod
    def from_dense(cls, array: Shaped[np.ndarray, '...']) -> SparseArray:
        """Find the background and the runs; ``dense`` gives the same bits back.

        Raises:
            ValueError: If the array has no cells, or more than 2**31.
        """
        if not 0 < array.size < 2**31:
            raise ValueError(
                f'an array to be cached must have 1 to 2**31 - 1 cells, got the shape '
                f'{array.shape}'
            )
        array = np.ascontiguousarray(array)
        # Bits, not values: minus zero and NaN must come back as they are.
        bits = array.view(f'u{array.dtype.itemsize}')
        sample = bits.reshape(-1)[:: max(1, bits.size // _SAMPLES)]
        values, counts = np.unique(sample, return_counts=True)
        background = values[counts.argmax()]
        rows = (bits != background).reshape(-1, array.shape[-1])
        edges = np.diff(np.pad(rows, ((0, 0), (1, 1))).view(np.int8), axis=1)
        first_row, first = (edges == 1).nonzero()
        _, last = (edges == -1).nonzero()
        return cls(
            array.shape,
            background.view(array.dtype),
            (first_row * array.shape[-1] + first).astype(np.int32),
            (last - first).astype(np.int32),
            array.reshape(-1, array.shape[-1])[rows],
        )

    @property
    def dtype(self) -> np.dtype:
        """Of the dense array."""
        return self.values.dtype

    def channels(self) -> tuple[SparseArray, ...]:
        """Split along the first axis."""
        size = int(np.prod(self.shape[1:]))
        edges = np.searchsorted(self.starts, size * np.arange(self.shape[0] + 1))
        ends = np.concatenate(([0], np.cumsum(self.lengths)))
        return tuple(
            SparseArray(
                self.shape[1:],
                self.background,
                self.starts[low:high] - channel * size,
                self.lengths[low:high],
                self.values[ends[low] : ends[high]],
            )
            for channel, (low, high) in enumerate(itertools.pairwise(edges))
        )

    def map(
        self, change: Callable[[Shaped[np.ndarray, ' N']], Shaped[np.ndarray, ' N']]
    ) -> SparseArray:
        """Apply a function of values to all cells; it sees the background once."""
        background = change(np.array([self.background]))[0]
        return replace(self, background=background, values=change(self.values))

    def dense(self, turned: bool = False) -> Shaped[np.ndarray, '...']:
        """Give all cells.

        Args:
            turned: Mirror a volume ``X Y Z`` along x and y.
        """
        starts = self.starts
        if turned:
            rows, offsets = np.divmod(starts, self.shape[-1])
            # Mirroring x and y reverses the order of the rows.
            num_rows = int(np.prod(self.shape[:-1]))
            starts = (num_rows - 1 - rows) * self.shape[-1] + offsets
        filled = _background(self.shape, self.background)
        # Position in ``values`` -> flat index: constant within each run.
        ends = np.cumsum(self.lengths, dtype=np.int32)
        cells = np.repeat(starts - ends + self.lengths, self.lengths)
        cells += np.arange(len(cells), dtype=cells.dtype)
        filled.reshape(-1)[cells] = self.values
        return filled


def _background(shape: tuple[int, ...], value: np.generic) -> Shaped[np.ndarray, '...']:
    unsigned = f'u{value.dtype.itemsize}'
    bits = np.array(value).view(unsigned)[()]
    if not bits:
        return np.zeros(shape, value.dtype)  # memory that is not touched costs nothing
    # Filling as integers is several times as fast as filling half floats.
    return np.full(shape, bits, unsigned).view(value.dtype)


def cache_path(cache_dir: PathLike, source: PathLike) -> Path:
    """Where the copy of a volume file is: ``<cache_dir>/<scene>/<name>.vox``."""
    source = Path(source)
    return Path(cache_dir) / source.parent.name / f'{source.stem}.vox'


def load_cached(
    source: PathLike, cache_dir: PathLike, verify: bool = False
) -> tuple[dict[str, SparseArray], str]:
    """Give the arrays of an npz file from its copy; make the copy if need be.

    A copy is good if its source has the recorded size and modification time. Where only
    the time differs, the source's SHA-256 decides.

    Args:
        source: The npz file.
        cache_dir: Folder of the copies, one for each dataset.
        verify: Compare the SHA-256 also where size and time agree.

    Returns:
        The arrays by name, and what was done: 'used', 'made', 'renewed' (the source had
        changed), or the problem of a damaged copy that was made again.

    Raises:
        FileNotFoundError: If there is no source.
        CorruptFileError: If the source is broken.
    """
    source = existing_file(source)
    path = cache_path(cache_dir, source)
    status = 'made'
    if path.is_file():
        try:
            cached = read_volume_cache(path)
        except CorruptFileError as error:
            status = str(error)
        else:
            if _is_of(cached.source, source, verify):
                return dict(cached.arrays), 'used'
            status = 'renewed'
    return write_volume_cache(path, source), status


@dataclass(frozen=True)
class CachedVolumes:
    """What a cache file holds.

    Attributes:
        source: ``size`` in bytes, ``mtime_ns`` and ``sha256`` of the source file.
        arrays: By their names in the source file.
    """

    source: Mapping[str, int | str]
    arrays: Mapping[str, SparseArray]


def _is_of(recorded: Mapping[str, int | str], source: Path, verify: bool) -> bool:
    stat = source.stat()
    if recorded['size'] != stat.st_size:
        return False
    if recorded['mtime_ns'] == stat.st_mtime_ns and not verify:
        return True
    return recorded['sha256'] == _sha256(source)


def _sha256(path: Path) -> str:
    with path.open('rb') as stream:
        return hashlib.file_digest(stream, 'sha256').hexdigest()


def write_volume_cache(path: PathLike, source: PathLike) -> dict[str, SparseArray]:
    """Copy all arrays of an npz file; gives what was written.

    Raises:
        FileNotFoundError: If there is no source.
        CorruptFileError: If the source is broken.
    """
    source = existing_file(source)
    stat = source.stat()
    digest = _sha256(source)
    arrays = {k: SparseArray.from_dense(read_npz(source, k)) for k in npz_keys(source)}
    header = {
        'source': {
            'size': stat.st_size,
            'mtime_ns': stat.st_mtime_ns,
            'sha256': digest,
        },
        'arrays': {key: _describe(array) for key, array in arrays.items()},
    }
    parts = [part for array in arrays.values() for part in _parts(array)]
    crc = 0
    for part in parts:
        crc = zlib.crc32(part, crc)
    text = json.dumps({**header, 'crc32': crc}).encode()
    with atomic_write(path) as temporary, temporary.open('wb') as stream:
        stream.write(_PREFIX.pack(_MAGIC, len(text), zlib.crc32(text)))
        stream.write(text)
        for part in parts:
            stream.write(part)
    return arrays


def _describe(array: SparseArray) -> dict[str, object]:
    return {
        'shape': list(array.shape),
        'dtype': array.dtype.str,
        'background': array.background.tobytes().hex(),
        'runs': len(array.starts),
        'length_dtype': _length_dtype(array.shape).str,
        'values': len(array.values),
    }


def _length_dtype(shape: tuple[int, ...]) -> np.dtype:
    return np.dtype('<u2' if shape[-1] < 2**16 else '<i4')


def _parts(array: SparseArray) -> tuple[bytes, bytes, bytes]:
    return (
        array.starts.astype('<i4').tobytes(),
        array.lengths.astype(_length_dtype(array.shape)).tobytes(),
        array.values.tobytes(),
    )


def read_volume_cache(path: PathLike) -> CachedVolumes:
    """Read a cache file; whether it is still that of its source is not asked.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If it is damaged or no cache file.
    """
    path = existing_file(path)
    content = path.read_bytes()
    header, offset = _read_header(path, content)
    payload = memoryview(content)[offset:]
    if zlib.crc32(payload) != header['crc32']:
        raise CorruptFileError(path, 'the checksum of its content is wrong', _REBUILD)
    arrays = {}
    offset = 0
    for key, entry in header['arrays'].items():
        arrays[key], offset = _parse(entry, payload, offset)
    if offset != len(payload):
        raise CorruptFileError(path, 'its header does not fit its content', _REBUILD)
    return CachedVolumes(header['source'], arrays)


def _read_header(path: Path, content: bytes) -> tuple[dict, int]:
    if len(content) < _PREFIX.size or not content.startswith(_MAGIC):
        raise CorruptFileError(path, 'not a volume cache of this version', _REBUILD)
    _, length, crc = _PREFIX.unpack_from(content)
    text = content[_PREFIX.size : _PREFIX.size + length]
    if length > _MAX_HEADER or len(text) != length or zlib.crc32(text) != crc:
        raise CorruptFileError(path, 'the header is damaged', _REBUILD)
    return json.loads(text), _PREFIX.size + length


def _parse(entry: dict, payload: memoryview, offset: int) -> tuple[SparseArray, int]:
    def take(dtype: np.dtype, count: int) -> Shaped[np.ndarray, ' N']:
        nonlocal offset
        part = np.frombuffer(payload, dtype, count, offset)
        offset += part.nbytes
        return part

    dtype = np.dtype(entry['dtype'])
    background = np.frombuffer(bytes.fromhex(entry['background']), dtype)[0]
    starts = take(np.dtype('<i4'), entry['runs'])
    lengths = take(np.dtype(entry['length_dtype']), entry['runs'])
    values = take(dtype, entry['values'])
    shape = tuple(entry['shape'])
    return (
        SparseArray(shape, background, starts, lengths.astype(np.int32), values),
        offset,
    )
