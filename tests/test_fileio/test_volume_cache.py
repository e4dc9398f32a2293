from __future__ import annotations

import os

import numpy as np
import pytest

from mmp3d.fileio import (
    CorruptFileError,
    SparseArray,
    cache_path,
    load_cached,
    read_npz,
    read_volume_cache,
    write_npz,
)

RNG = np.random.default_rng(0)


def _volume() -> np.ndarray:
    """Mostly far away, with runs at the ends of rows, minus zero and NaN."""
    volume = np.full((4, 5, 7), 12, np.float16)
    volume[1, 2, 3:6] = 1.5, -0.0, np.nan
    volume[0, 0, 0], volume[0, 0, 6], volume[0, 1, 0] = 2, 3, 4
    volume[3, 4] = np.arange(7)
    return volume


def _same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize(
    'array',
    [
        _volume(),
        np.zeros((3, 4, 5), np.float32),
        np.ones((3, 4, 5), bool),
        RNG.integers(-9, 9, (2, 3, 4, 5)),
        RNG.random((3, 4, 5)) < 0.3,
        np.asfortranarray(RNG.random((4, 3, 6))),
        np.float64([[-0.0, 0.0, -0.0]]),
    ],
)
def test_every_bit_comes_back(array, tmp_path):
    sparse = SparseArray.from_dense(array)
    assert _same_bits(sparse.dense(), np.ascontiguousarray(array))
    source = tmp_path / 'scene' / 'volume.npz'
    write_npz(source, data=array)
    load_cached(source, tmp_path / 'cache')
    arrays, status = load_cached(source, tmp_path / 'cache')
    assert status == 'used'
    assert _same_bits(arrays['data'].dense(), np.ascontiguousarray(array))


def test_the_rarer_value_is_stored():
    sparse = SparseArray.from_dense(_volume())
    assert sparse.background == 12
    assert len(sparse.values) == 13
    assert sparse.starts.tolist() == [0, 6, 7, 52, 133]
    assert sparse.lengths.tolist() == [1, 1, 1, 3, 7]


def test_a_turned_volume_is_mirrored_in_x_and_y():
    volume = _volume()
    turned = SparseArray.from_dense(volume).dense(turned=True)
    assert _same_bits(turned, np.ascontiguousarray(volume[::-1, ::-1]))


def test_channels_and_values_can_be_worked_on_sparsely():
    both = np.stack([RNG.integers(0, 3, (4, 5, 6)), np.zeros((4, 5, 6), int)])
    first, second = SparseArray.from_dense(both).channels()
    np.testing.assert_array_equal(first.dense(), both[0])
    np.testing.assert_array_equal(second.dense(), both[1])
    squared = first.map(lambda values: (values**2).astype(np.float32))
    np.testing.assert_array_equal(squared.dense(), both[0] ** 2)
    assert squared.dense().dtype == np.float32


def test_arrays_without_cells_are_refused():
    with pytest.raises(ValueError, match='1 to 2'):
        SparseArray.from_dense(np.zeros((3, 0)))


@pytest.fixture
def source(tmp_path):
    path = tmp_path / 'scene' / 'geometry.npz'
    write_npz(path, data=_volume(), mask=_volume() > 3)
    return path


def test_all_arrays_of_a_file_are_kept(source, tmp_path):
    arrays, status = load_cached(source, tmp_path / 'cache')
    assert status == 'made'
    assert sorted(arrays) == ['data', 'mask']
    cached = read_volume_cache(cache_path(tmp_path / 'cache', source))
    assert cached.source['size'] == source.stat().st_size
    assert len(cached.source['sha256']) == 64
    np.testing.assert_array_equal(cached.arrays['mask'].dense(), _volume() > 3)


def test_a_changed_source_renews_its_copy(source, tmp_path):
    load_cached(source, tmp_path)
    write_npz(source, data=np.full((2, 2, 3), 5))
    arrays, status = load_cached(source, tmp_path)
    assert status == 'renewed'
    assert (arrays['data'].dense() == 5).all()
    assert load_cached(source, tmp_path)[1] == 'used'


def test_a_copied_source_keeps_its_copy(source, tmp_path):
    load_cached(source, tmp_path)
    os.utime(source, (1, 1))
    assert load_cached(source, tmp_path)[1] == 'used'


def test_only_the_digest_sees_a_disguised_change(source, tmp_path):
    write_npz(source, data=np.arange(8, dtype=np.uint8))
    before = source.stat()
    load_cached(source, tmp_path)
    content = bytearray(source.read_bytes())
    content[14] ^= 1  # the time that the archive claims, same size
    source.write_bytes(bytes(content))
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert load_cached(source, tmp_path)[1] == 'used'
    assert load_cached(source, tmp_path, verify=True)[1] == 'renewed'


@pytest.mark.parametrize('position', [0, 9, 30, -1])
def test_a_damaged_copy_is_reported_and_made_again(source, tmp_path, position):
    load_cached(source, tmp_path)
    path = cache_path(tmp_path, source)
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(CorruptFileError, match='is made again from its source'):
        read_volume_cache(path)
    arrays, status = load_cached(source, tmp_path)
    assert path.name in status
    assert _same_bits(arrays['data'].dense(), read_npz(source, 'data'))
    assert load_cached(source, tmp_path)[1] == 'used'


@pytest.mark.parametrize('size', [0, 5, 16, 40, -3])
def test_a_truncated_copy_is_never_used(source, tmp_path, size):
    load_cached(source, tmp_path)
    path = cache_path(tmp_path, source)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CorruptFileError):
        read_volume_cache(path)
    assert load_cached(source, tmp_path)[1] != 'used'
    path.write_bytes(path.read_bytes() + b'more')
    with pytest.raises(CorruptFileError, match='checksum'):
        read_volume_cache(path)


def test_a_missing_or_broken_source_is_named(source, tmp_path):
    load_cached(source, tmp_path)
    source.write_bytes(b'no archive')
    with pytest.raises(CorruptFileError, match=r'geometry\.npz: not a readable npz'):
        load_cached(source, tmp_path)
    source.unlink()
    with pytest.raises(FileNotFoundError, match='nothing is there'):
        load_cached(source, tmp_path)
