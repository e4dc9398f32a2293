"""Images of no dataset: where their camera comes from, and how it follows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from mmp3d.datasets.transforms import LoadFreeImage
from mmp3d.geometry import UnknownCameraError

TARGET = (240, 320)
DATASET_K = np.array([[277.0, 0, 159.5], [0, 277.0, 119.5], [0, 0, 1]])
USER_K = np.array([[500.0, 0, 310.0], [0, 510.0, 270.0], [0, 0, 1]])


def _load(image: np.ndarray | Path, K: np.ndarray | None = None, **options) -> dict:
    results = {'img': image} if isinstance(image, np.ndarray) else {'img_path': image}
    if K is not None:
        results['K'] = K
    transform = LoadFreeImage(TARGET, DATASET_K, {}, 'front3d', **options)
    return transform.transform(results)


def _grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 90, np.uint8)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """300 x 400 pixels lying on the side, taken with 26 mm on 35 mm film."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = 26
    Image.fromarray(_grey(300, 400)).save(tmp_path / 'photo.jpg', exif=exif)
    return tmp_path / 'photo.jpg'


@pytest.mark.parametrize(
    ('size', 'fitted'),
    [
        ((480, 640), (240, 320)),
        ((640, 480), (240, 180)),  # portrait
        ((200, 1000), (64, 320)),  # panorama
        ((3, 4), (240, 320)),  # tiny
        ((1, 1), (240, 240)),
        ((5000, 1), (240, 2)),  # as thin as can be
        ((333, 500), (214, 320)),  # 213.1: even sides only
    ],
)
def test_padding_keeps_the_aspect_ratio_and_the_content(size, fitted):
    results = _load(_grey(*size), fit='pad')
    assert results['img'].shape == (*fitted, 3)
    assert results['img_shape'] == fitted
    assert results['ori_shape'] == size
    assert results['pad_shape'] == TARGET


@pytest.mark.parametrize('size', [(640, 480), (200, 1000), (1, 1), (240, 320)])
def test_stretching_gives_every_image_the_size_and_camera_of_the_dataset(size):
    results = _load(_grey(*size))
    assert results['img'].shape == (*TARGET, 3)
    assert results['intrinsics_source'] == 'dataset'
    assert 'pad_shape' not in results
    np.testing.assert_array_equal(results['K'], DATASET_K)
    assert results['grid'].origin is None


@pytest.mark.parametrize(
    ('size', 'fitted'),
    [
        ((480, 640), (240, 320)),
        ((220, 320), (240, 320)),  # 9 % wider: stretched, as published
        ((640, 480), (240, 180)),
        ((214, 320), (214, 320)),
        ((200, 1000), (64, 320)),
    ],
)
def test_only_like_shapes_are_stretched_by_themselves(size, fitted):
    results = _load(_grey(*size), fit='auto')
    assert results['img_shape'] == fitted
    assert ('pad_shape' in results) == (fitted != TARGET)
    centre = [(fitted[1] - 1) / 2, (fitted[0] - 1) / 2]
    np.testing.assert_allclose(results['K'][:2, 2], centre)


@pytest.mark.parametrize(
    ('fit', 'expected'),
    [
        # 640 x 480 -> 240 x 320: a third of the width more, 3/8 of the height.
        ('stretch', (500 * 320 / 480, 510 * 0.375, 310 * 320 / 480, 270 * 0.375)),
        ('pad', (500 * 0.375, 510 * 0.375, 310 * 0.375, 270 * 0.375)),
    ],
)
def test_given_intrinsics_follow_the_resize_and_go_before_all(fit, expected, photo):
    for image in (_grey(640, 480), photo):
        size = np.array(_load(image)['ori_shape'])
        K = USER_K.copy()
        K[:2] *= (size / (640, 480))[::-1, None]
        results = _load(image, K, fit=fit, camera_head=True)
        assert results['intrinsics_source'] == 'user'
        np.testing.assert_allclose(results['K'][[0, 1, 0, 1], [0, 1, 2, 2]], expected)


def test_the_dataset_camera_is_cropped_for_a_padded_portrait():
    results = _load(_grey(640, 480), fit='pad')
    expected = [[277, 0, 89.5], [0, 277, 119.5], [0, 0, 1]]
    np.testing.assert_allclose(results['K'], expected)


@pytest.mark.parametrize('camera', ['auto', 'exif'])
def test_exif_gives_the_focal_length_of_the_upright_image(photo, camera):
    focal = 26 / 43.266615 * 500  # in pixels of the 400 x 300 upright image
    results = _load(photo, camera=camera, camera_head=True)
    assert results['ori_shape'] == (400, 300)
    assert results['intrinsics_source'] == 'exif'
    expected = [[focal * 320 / 300, 0, 159.5], [0, focal * 0.6, 119.5], [0, 0, 1]]
    np.testing.assert_allclose(results['K'], expected)
    padded = _load(photo, camera=camera, fit='pad')['K']
    expected = [[focal * 0.6, 0, 89.5], [0, focal * 0.6, 119.5], [0, 0, 1]]
    np.testing.assert_allclose(padded, expected)


def test_the_order_of_the_other_sources(photo):
    array = _grey(300, 400)
    assert _load(array, camera_head=True)['intrinsics_source'] == 'camera_head'
    assert _load(array)['intrinsics_source'] == 'dataset'
    assert _load(photo, camera='camera_head')['intrinsics_source'] == 'camera_head'
    assert _load(photo, camera='dataset')['intrinsics_source'] == 'dataset'
    ask = {'camera': 'dataset', 'camera_head': True}
    assert _load(array, **ask)['intrinsics_source'] == 'dataset'


def test_wrong_wishes_are_refused(tmp_path):
    Image.fromarray(_grey(5, 7)).save(tmp_path / 'plain.png')
    with pytest.raises(
        UnknownCameraError, match=r'plain\.png: EXIF tells no plausible'
    ):
        _load(tmp_path / 'plain.png', camera='exif')
    with pytest.raises(UnknownCameraError, match='an array: EXIF tells no'):
        _load(_grey(5, 7), camera='exif')
    with pytest.raises(ValueError, match=r"camera must be one of .* got 'exfi'"):
        _load(_grey(5, 7), camera='exfi')
    with pytest.raises(ValueError, match=r"fit must be one of .* got 'crop'"):
        _load(_grey(5, 7), fit='crop')
    with pytest.raises(ValueError, match='RGB array H W 3'):
        _load(np.zeros((5, 7), np.uint8))


def test_the_grid_moves_to_where_an_excentric_camera_looks():
    K = np.array([[277.0, 0, 59.5], [0, 277.0, 119.5], [0, 0, 1]])
    grid = _load(_grey(*TARGET), K)['grid']
    # At 6 m the image ends at x = -1.29 m and 5.64 m; its middle is 72.6 voxels.
    x, y, z = grid.origin
    assert (x, y) == (-128 + 73, -128)
    assert z == pytest.approx(-128 + 3.2 / 0.03)
