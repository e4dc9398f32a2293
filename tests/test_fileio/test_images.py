from __future__ import annotations

import numpy as np
import pytest
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from mmp3d.fileio import (
    CorruptFileError,
    read_exif_focal,
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


def _tags(**values: object) -> Image.Exif:
    exif = Image.Exif()
    block = exif.get_ifd(ExifTags.IFD.Exif)
    for name, value in values.items():
        block[ExifTags.Base[name]] = value
    return exif


def _save(path, size: tuple[int, int], exif: Image.Exif | bytes):
    Image.fromarray(_picture(*size)).save(path, exif=exif)
    return path


def test_the_35_mm_focal_length_compares_diagonals(tmp_path):
    # 3 : 4 : 5, and the diagonal of 35 mm film is 43.2666 mm.
    exif = _tags(FocalLengthIn35mmFilm=26, FocalLength=4.2)
    focal = read_exif_focal(_save(tmp_path / 'a.jpg', (300, 400), exif))
    assert focal == pytest.approx(26 / 43.266615 * 500)


@pytest.mark.parametrize(('unit', 'per_mm'), [(None, 25.4), (2, 25.4), (3, 10), (4, 1)])
def test_the_focal_plane_resolution_gives_the_focal_length(tmp_path, unit, per_mm):
    given = {} if unit is None else {'FocalPlaneResolutionUnit': unit}
    exif = _tags(FocalLength=5.0, FocalPlaneXResolution=8.0 * per_mm, **given)
    path = _save(tmp_path / 'a.jpg', (30, 40), exif)
    assert read_exif_focal(path) == pytest.approx(40)


@pytest.mark.parametrize('recorded', [(120, 160), (160, 120)])
def test_the_focal_length_follows_a_resize_and_a_turn(tmp_path, recorded):
    height, width = recorded
    exif = _tags(
        FocalLength=5.0,
        FocalPlaneXResolution=32.0,
        FocalPlaneYResolution=32.0,
        FocalPlaneResolutionUnit=4,
        ExifImageWidth=width,
        ExifImageHeight=height,
    )
    exif[ExifTags.Base.Orientation] = 6
    path = _save(tmp_path / 'a.jpg', (30, 40), exif)
    assert read_image(path).shape == (40, 30, 3)
    assert read_exif_focal(path) == pytest.approx(5 * 32 / 4)


@pytest.mark.parametrize(
    'tags',
    [
        {},
        {'FocalLength': 4.2},
        {'FocalLengthIn35mmFilm': 0},
        {'FocalLengthIn35mmFilm': 3},  # 164 degrees
        {'FocalLengthIn35mmFilm': 600},  # 3 degrees
        {'FocalLength': 4.2, 'FocalPlaneXResolution': 0.0},
        {'FocalLength': IFDRational(1, 0), 'FocalPlaneXResolution': 100.0},
        {
            'FocalLength': 4.2,
            'FocalPlaneXResolution': 100.0,
            'FocalPlaneResolutionUnit': 9,
        },
        # Cropped to a square since.
        {
            'FocalLengthIn35mmFilm': 26,
            'ExifImageWidth': 4000,
            'ExifImageHeight': 6000,
        },
    ],
)
def test_exif_that_tells_nothing_plausible_gives_no_focal_length(tmp_path, tags):
    assert read_exif_focal(_save(tmp_path / 'a.jpg', (30, 40), _tags(**tags))) is None


@pytest.mark.parametrize('suffix', ['png', 'jpg'])
@pytest.mark.parametrize('share', [0.2, 0.5, 0.8])
def test_broken_exif_is_ignored(tmp_path, suffix, share):
    whole = _tags(FocalLengthIn35mmFilm=26).tobytes()
    for number, exif in enumerate(
        (
            whole[: int(share * len(whole))],
            b'Exif\0\0' + b'\xff' * 40,
            b'Exif\0\0II*\0\x08\0\0\0' + b'\xff\x7f' * 50,
        )
    ):
        path = _save(tmp_path / f'{number}.{suffix}', (20, 33), exif)
        assert read_exif_focal(path) is None
        assert read_image(path).shape == (20, 33, 3)


def test_the_focal_length_of_no_image_is_refused(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(b'no image')
    with pytest.raises(CorruptFileError, match=r'a\.jpg: not a readable image'):
        read_exif_focal(tmp_path / 'a.jpg')
    with pytest.raises(FileNotFoundError, match='nothing is there'):
        read_exif_focal(tmp_path / 'b.jpg')
