from __future__ import annotations

import numpy as np
import OpenEXR
import pytest

from mmp3d.fileio import CorruptFileError, read_exr, write_exr


def _write_channels(path, **channels: np.ndarray) -> None:
    header = {'compression': OpenEXR.ZIP_COMPRESSION, 'type': OpenEXR.scanlineimage}
    with OpenEXR.File(header, channels) as file:
        file.write(str(path))


def test_depth_survives_a_round_trip_bit_by_bit(tmp_path):
    depth = np.random.rand(21, 34).astype(np.float32) * 10
    write_exr(tmp_path / 'a.exr', depth)
    read = read_exr(tmp_path / 'a.exr')
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, depth)


def test_slices_and_transposed_maps_are_written_right(tmp_path):
    depth = np.random.rand(21, 34).astype(np.float32)
    for number, view in enumerate((depth.T, depth[::-1], depth[:, 3:9], depth[::2])):
        write_exr(tmp_path / f'{number}.exr', view)
        np.testing.assert_array_equal(read_exr(tmp_path / f'{number}.exr'), view)


def test_double_precision_is_written_as_float32(tmp_path):
    write_exr(tmp_path / 'a.exr', np.full((2, 3), 1 / 3))
    assert read_exr(tmp_path / 'a.exr')[0, 0] == np.float32(1 / 3)


def test_equal_channels_are_one_depth(tmp_path):
    depth = np.random.rand(5, 7).astype(np.float32)
    _write_channels(tmp_path / 'a.exr', R=depth, G=depth, B=depth)
    np.testing.assert_array_equal(read_exr(tmp_path / 'a.exr'), depth)


def test_half_floats_are_read(tmp_path):
    _write_channels(tmp_path / 'a.exr', Y=np.full((3, 4), 1.5, np.float16))
    assert read_exr(tmp_path / 'a.exr').dtype == np.float32


def test_a_colour_file_is_no_depth(tmp_path):
    depth = np.ones((5, 7), np.float32)
    _write_channels(tmp_path / 'a.exr', R=depth, G=2 * depth, B=depth)
    with pytest.raises(CorruptFileError, match='expected one depth channel'):
        read_exr(tmp_path / 'a.exr')


def test_a_file_of_nothing_but_transparency_has_no_depth(tmp_path):
    _write_channels(tmp_path / 'a.exr', A=np.ones((5, 7), np.float32))
    with pytest.raises(CorruptFileError, match='has no channel'):
        read_exr(tmp_path / 'a.exr')


@pytest.mark.parametrize('share', [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_named(tmp_path, share):
    path = tmp_path / 'a.exr'
    write_exr(path, np.random.rand(48, 64).astype(np.float32))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CorruptFileError, match=r'a\.exr: not a readable EXR file'):
        read_exr(path)


def test_a_missing_file_is_not_called_corrupt(tmp_path):
    with pytest.raises(FileNotFoundError, match='nothing is there'):
        read_exr(tmp_path / 'a.exr')


def test_wrong_arrays_are_not_written(tmp_path):
    for wrong in (np.zeros((2, 3, 1)), np.zeros((2, 3), int), np.zeros((0, 3))):
        with pytest.raises((ValueError, TypeError), match=r'not empty|Float\['):
            write_exr(tmp_path / 'a.exr', wrong)
