from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mmp3d.fileio import (
    CorruptFileError,
    read_gray16,
    read_image,
    write_gray16,
    write_image,
)


def _picture(height: int = 20, width: int = 33) -> np.ndarray:
    return np.random.randint(0, 256, (height, width, 3), dtype=np.uint8)


def test_images_survive_a_round_trip(tmp_path):
    rgb = _picture()
    write_image(tmp_path / 'new' / 'a.png', rgb[:, ::-1])
    np.testing.assert_array_equal(read_image(tmp_path / 'new' / 'a.png'), rgb[:, ::-1])


def test_jpeg_is_read_as_rgb(tmp_path):
    red = np.zeros((16, 24, 3), np.uint8)
    red[..., 0] = 200
    write_image(tmp_path / 'a.jpg', red)
    np.testing.assert_allclose(
        read_image(tmp_path / 'a.jpg')[8, 8], [200, 0, 0], atol=3
    )


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    rgb = _picture()
    Image.fromarray(rgb).save(tmp_path / 'turned.png', exif=exif)
    np.testing.assert_array_equal(
        read_image(tmp_path / 'turned.png'), np.rot90(rgb, -1)
    )


@pytest.mark.parametrize('mode', ['L', 'RGBA', 'P'])
def test_other_8_bit_modes_become_rgb(tmp_path, mode):
    Image.fromarray(_picture()).convert(mode).save(tmp_path / 'a.png')
    image = read_image(tmp_path / 'a.png')
    assert image.shape == (20, 33, 3)
    assert image.dtype == np.uint8


@pytest.mark.parametrize('share', [0.0, 0.02, 0.5, 0.98])
def test_a_truncated_image_is_named(tmp_path, share):
    path = tmp_path / 'a.png'
    write_image(path, _picture())
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CorruptFileError, match=r'a\.png: not a readable image'):
        read_image(path)


def test_text_is_no_image(tmp_path):
    path = tmp_path / 'a.png'
    path.write_text('hello')
    with pytest.raises(CorruptFileError, match='not a readable image'):
        read_image(path)
    with pytest.raises(CorruptFileError, match='not a readable image'):
        read_gray16(path)


def test_a_16_bit_image_is_no_colour_image(tmp_path):
    write_gray16(tmp_path / 'a.png', np.full((4, 5), 4000, np.uint16))
    with pytest.raises(CorruptFileError, match='expected an 8-bit image'):
        read_image(tmp_path / 'a.png')


def test_a_missing_image_says_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'folder .* does not exist either'):
        read_image(tmp_path / 'no' / 'a.png')
    with pytest.raises(FileNotFoundError, match='a folder is there'):
        read_image(tmp_path)


def test_grey_images_survive_a_round_trip(tmp_path):
    values = np.array([[0, 1, 65535], [4000, 256, 255]], np.uint16)
    write_gray16(tmp_path / 'a.png', values)
    np.testing.assert_array_equal(read_gray16(tmp_path / 'a.png'), values)
    write_image(tmp_path / 'b.png', _picture())
    with pytest.raises(CorruptFileError, match='expected one channel'):
        read_gray16(tmp_path / 'b.png')


def test_wrong_arrays_are_not_written(tmp_path):
    with pytest.raises((ValueError, TypeError), match=r'must be uint8|UInt8\['):
        write_image(tmp_path / 'a.png', np.zeros((4, 5, 3)))
    with pytest.raises((ValueError, TypeError), match=r'must be uint16|UInt16\['):
        write_gray16(tmp_path / 'a.png', np.zeros((4, 5), np.uint8))
    assert not list(tmp_path.iterdir())
