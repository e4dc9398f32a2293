"""Whatever is wrong with whichever file: ``check_data`` names the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmp3d.fileio import write_exr, write_gray16, write_image, write_npy, write_npz
from tools.analysis import check_data

SIZE, DIMS = (24, 32), (16, 8, 24)
Damage = Callable[[Path], object]


def _cut(share: float) -> Damage:
    def cut(path: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])

    return cut


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _changed_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(bytes(content))


def _npz(**arrays: np.ndarray) -> Damage:
    return lambda path: write_npz(path, **arrays)


def _with_objects(key: str) -> Damage:
    return lambda path: np.savez(path, **{key: np.array([{}], dtype=object)})


def _image(height: int, width: int) -> Damage:
    pixels = np.zeros((height, width, 3), np.uint8)
    return lambda path: write_image(path, pixels)


def _grey(height: int, width: int) -> Damage:
    return lambda path: write_gray16(path, np.ones((height, width), np.uint16))


def _depth(value: float, size: tuple[int, int] = SIZE) -> Damage:
    depth = np.ones(size, np.float32)
    depth[3, 4] = value
    return lambda path: write_exr(path, depth)


def _maps(channel: int, value: float, dtype: type = np.int32) -> Damage:
    maps = np.zeros((*SIZE, 2), dtype)
    maps[3, 4, channel] = value
    return _npz(data=maps)


def _volume(value: float, dtype: type = np.float32, mask: bool = True) -> Damage:
    volume = np.zeros(DIMS, dtype)
    volume[3, 4, 5] = value
    return _npz(data=volume, **({'mask': np.zeros(DIMS, bool)} if mask else {}))


def _labels(channel: int, value: int, dtype: type = np.int32) -> Damage:
    labels = np.zeros((2, *DIMS), dtype)
    labels[channel, 3, 4, 5] = value
    return _npz(data=labels)


ANY = {
    'missing': Path.unlink,
    'empty': lambda path: path.write_bytes(b''),
    'a tenth': _cut(0.1),
    'half': _cut(0.5),
    'a folder': _folder,
    'text': lambda path: path.write_text('not found'),
}
NPZ = {
    **ANY,
    'other key': _npz(values=np.zeros(DIMS)),
    'objects': _with_objects('data'),
    'words': lambda path: np.savez(path, data=np.array(['a'])),
    'other shape': _npz(data=np.zeros((5, 7, 6)), mask=np.zeros(DIMS, bool)),
}
COLOUR = {**ANY, 'other size': _image(32, 24), 'grey': _grey(*SIZE)}
GREY = {
    **ANY,
    'other size': _grey(32, 24),
    'colour': lambda path: Image.new('RGB', SIZE[::-1]).save(path),
}
MAPS = {
    **NPZ,
    'float': _maps(0, 1.0, np.float32),
    'class 13': _maps(0, 13),
    'class -1': _maps(0, -1),
    'id -1': _maps(1, -1),
    'one channel': _npz(data=np.zeros((*SIZE, 1), np.uint8)),
}
LABELS = {
    **NPZ,
    'float': _labels(0, 1, np.float32),
    'class 13': _labels(0, 13),
    'id -1': _labels(1, -1),
    'id 2**40': _labels(1, 2**40, np.int64),
}
DISTANCE = {
    **NPZ,
    'bool': _volume(1, bool),
    'NaN': _volume(np.nan),
}
WEIGHTS = {**DISTANCE, 'negative': _volume(-1.0), 'infinite': _volume(np.inf)}
EXR = {
    **ANY,
    'other size': _depth(1.0, SIZE[::-1]),
    'negative': _depth(-0.5),
    'NaN': _depth(np.nan),
    'infinite': _depth(np.inf),
}
CAMERA = {
    **ANY,
    'three numbers': lambda path: write_npy(path, np.ones(3)),
    'NaN': lambda path: write_npy(path, np.full(16, np.nan)),
    'no focal length': lambda path: write_npy(path, np.zeros(16)),
}
FRONT3D = {
    'data/room/rgb_0001.png': COLOUR,
    'data/room/depth_0001.exr': EXR,
    'data/room/segmap_0001.mapped.npz': MAPS,
    'data/room/geometry_0001.npz': {**DISTANCE, 'a changed byte': _changed_byte},
    'data/room/segmentation_0001.mapped.npz': LABELS,
    'data/room/weighting_0001.npz': WEIGHTS,
}
MATTERPORT3D = {
    'data/scene/ab12_i2_0.jpg': {k: COLOUR[k] for k in COLOUR if k != 'grey'},
    'depth_gen/scene/ab12_d2_0.png': GREY,
    'room_mask/scene/ab12_rm2_0.png': GREY,
    'data/scene/ab12_intrinsics_2.npy': CAMERA,
    'data/scene/ab12_segmap2_0.mapped.npz': MAPS,
    'data/scene/ab12_geometry2_0.npz': {
        **DISTANCE,
        'no mask': _volume(1.0, mask=False),
        'mask of another shape': _npz(data=np.zeros(DIMS), mask=np.zeros((2, 3, 4))),
    },
    'data/scene/ab12_segmentation2_0.mapped.npz': LABELS,
    'data/scene/ab12_weighting2_0.npz': WEIGHTS,
}


def _check(root: Path, damages: dict[str, dict[str, Damage]], capsys) -> list[str]:
    """Damage one file after the other; give what was not noticed by name."""
    unnoticed = []
    for name, kinds in damages.items():
        path = root / name
        whole = path.read_bytes()
        for kind, damage in kinds.items():
            damage(path)
            code = check_data.main([str(root), '--splits', 'train'])
            named = [
                line for line in capsys.readouterr().out.splitlines() if name in line
            ]
            if code != 1 or not named:
                unnoticed.append(f'{name}: {kind}')
            if path.is_dir():
                path.rmdir()
            path.write_bytes(whole)
    return unnoticed


def test_front3d(tiny_root: Path, capsys):
    assert _check(tiny_root, FRONT3D, capsys) == []
    assert check_data.main([str(tiny_root)]) == 0


def test_matterport3d(matterport_root: Path, capsys):
    assert _check(matterport_root, MATTERPORT3D, capsys) == []
    assert check_data.main([str(matterport_root)]) == 0


@pytest.mark.parametrize(
    ('file', 'damage'),
    [
        ('meta/train.json', lambda path: path.write_text('[{')),
        ('meta/train.json', lambda path: path.write_text('[]')),
        ('meta/frustum_mask.npz', _npz(mask=np.zeros((2, 3, 4), bool))),
        ('meta/frustum_mask.npz', _npz(data=np.zeros(DIMS, bool))),
        ('meta/frustum_mask.npz', lambda path: path.write_bytes(b'')),
        ('meta/colormap.json', lambda path: path.write_text('{')),
    ],
)
def test_files_of_all_images(tiny_root: Path, file: str, damage: Damage, capsys):
    damage(tiny_root / file)
    assert check_data.main([str(tiny_root), '--splits', 'train']) == 1
    assert file in capsys.readouterr().out
