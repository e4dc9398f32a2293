from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from mmp3d.fileio import CorruptFileError, read_npz, write_npz


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'volume.npz'


@pytest.mark.parametrize(
    'values',
    [
        np.random.rand(3, 4, 5).astype(np.float32),
        np.arange(24, dtype=np.int16).reshape(2, 3, 4).transpose(2, 0, 1),
        np.asfortranarray(np.random.rand(3, 4) > 0.5),
        np.float64(2.5),
        np.zeros((0, 3), np.uint8),
        np.random.rand(700, 800),
    ],
    ids=['float', 'strided', 'fortran', 'scalar', 'empty', 'large'],
)
def test_arrays_survive_a_round_trip(path, values):
    write_npz(path, data=values, other=np.ones(2))
    read = read_npz(path, 'data')
    assert read.dtype == values.dtype
    np.testing.assert_array_equal(read, values)
    with np.load(path) as archive:  # numpy reads our files too
        np.testing.assert_array_equal(archive['data'], values)


def test_files_of_numpy_are_read(path):
    fortran = np.asfortranarray(np.random.rand(4, 5))
    np.savez_compressed(path, data=fortran)
    np.testing.assert_array_equal(read_npz(path, 'data'), fortran)
    np.savez(path, data=fortran)
    np.testing.assert_array_equal(read_npz(path, 'data'), fortran)


def test_equal_arrays_give_equal_bytes(tmp_path):
    for name in 'ab':
        write_npz(tmp_path / name, data=np.arange(1000), mask=np.ones(7, bool))
    assert (tmp_path / 'a').read_bytes() == (tmp_path / 'b').read_bytes()


def test_what_is_read_may_be_changed(path):
    write_npz(path, data=np.zeros(3))
    read_npz(path, 'data')[0] = 1


def test_a_wrong_key_lists_the_right_ones(path):
    write_npz(path, volume=np.zeros(3), mask=np.zeros(3))
    with pytest.raises(
        CorruptFileError, match=r"'data', the file has \['mask', 'volume'\]"
    ):
        read_npz(path, 'data')


def test_wrong_kinds_and_shapes_are_refused(path):
    write_npz(path, data=np.zeros((3, 4), np.float32))
    with pytest.raises(
        CorruptFileError, match='must be int or unsigned int, got dtype'
    ):
        read_npz(path, 'data', kinds='iu')
    with pytest.raises(CorruptFileError, match=r'must have \(3,\) axes'):
        read_npz(path, 'data', ndim=3)
    with pytest.raises(CorruptFileError, match=r'shape \(3, 5\), got \(3, 4\)'):
        read_npz(path, 'data', shape=(3, 5))
    with pytest.raises(CorruptFileError, match='must have the shape'):
        read_npz(path, 'data', shape=(3,))
    assert read_npz(path, 'data', ndim=(2, 3), shape=(3, None)).shape == (3, 4)


def test_objects_are_never_unpickled(path):
    np.savez(path, data=np.array([{'a': 1}], dtype=object))
    with pytest.raises(CorruptFileError, match='holds Python objects'):
        read_npz(path, 'data')
    with pytest.raises(TypeError, match='holds Python objects'):
        write_npz(path, data=np.array([None]))


@pytest.mark.parametrize('share', [0.0, 0.1, 0.6, 0.99])
def test_a_truncated_archive_is_named(path, share):
    write_npz(path, data=np.random.rand(30, 30))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CorruptFileError, match=r'volume\.npz: not a readable npz'):
        read_npz(path, 'data')


def test_damaged_values_are_noticed(path):
    write_npz(path, data=np.random.rand(30, 30))
    content = bytearray(path.read_bytes())
    for position in range(3000, 3040):
        content[position] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match='not a readable npz'):
        read_npz(path, 'data')


def _archive_of(path, member: bytes) -> None:
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('data.npy', member)


def test_members_that_lie_about_their_size_are_refused(path):
    stream = io.BytesIO()
    np.save(stream, np.zeros(8))
    content = stream.getvalue()
    _archive_of(path, content[:-8])
    with pytest.raises(CorruptFileError, match='ends after 56 of 64 bytes'):
        read_npz(path, 'data')
    _archive_of(path, content + b'more')
    with pytest.raises(CorruptFileError, match='longer than its header says'):
        read_npz(path, 'data')
    _archive_of(path, b'no array at all')
    with pytest.raises(CorruptFileError, match='broken array header'):
        read_npz(path, 'data')


def test_a_header_that_claims_too_much_asks_for_no_memory(path):
    stream = io.BytesIO()
    header = dict(descr='<f8', fortran_order=False, shape=(2**20, 2**20, 8))
    np.lib.format.write_array_header_1_0(stream, header)
    _archive_of(path, stream.getvalue() + bytes(64))
    with pytest.raises(CorruptFileError, match=r'claims the shape \(1048576, '):
        read_npz(path, 'data')


def test_an_encrypted_archive_is_refused(path):
    write_npz(path, data=np.zeros(3))
    content = bytearray(path.read_bytes())
    content[6] |= 1  # flags of the member
    content[content.index(b'PK\1\2') + 8] |= 1  # and in the list of members
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=r'not a plain npz file .*encrypted'):
        read_npz(path, 'data')


def test_nothing_is_not_written(path):
    with pytest.raises(ValueError, match='at least one array'):
        write_npz(path)
    with pytest.raises(FileNotFoundError, match='nothing is there'):
        read_npz(path, 'data')
