"""Write SynthRooms in Matterport3D's layout.

Volumes follow the camera: nothing is flipped. ``<view>`` is ``<angle>_<rotation>``, and
an image id ``<name>_<view>``.

======================================================  ================================
``data/<scene>/<name>_i<view>.jpg``                      uint8 240 x 320 x 3
``data/<scene>/<name>_segmap<view>.mapped.npz``          uint8 240 x 320 x 2
``data/<scene>/<name>_intrinsics_<angle>.npy``           float32 4 x 4
``data/<scene>/<name>_geometry<view>.npz``               ``data`` float16 X Y Z, voxels;
                                                         ``mask`` bool X Y Z, not valid
``data/<scene>/<name>_segmentation<view>.mapped.npz``    uint8 2 x X Y Z
``data/<scene>/<name>_weighting<view>.npz``              float16 X Y Z
``depth_gen/<scene>/<name>_d<view>.png``                 uint16, 4000 per metre
``room_mask/<scene>/<name>_rm<view>.png``                uint16, 0: outside the room
======================================================  ================================

Distances are signed: negative inside furniture, walls and floor. Every pixel that shows
something belongs to the room. What is not valid is what lies outside the frustum.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmp3d.fileio import write_gray16, write_image, write_npy, write_npz
from mmp3d.testing.synth_rooms.generator import (
    SynthRoomsSpec,
    SynthSample,
    scene_name,
    visible_frustum,
)
from mmp3d.testing.synth_rooms.volumes import inside_solids
from mmp3d.testing.synth_rooms.writer import Layout

_UNITS_PER_METRE = 4000
_UINT16_MAX = 65535


def image_name(split: str, index: int, spec: SynthRoomsSpec) -> tuple[str, str]:
    """Scene id and image id of the image number ``index`` of a split."""
    scene_id, image_id = scene_name(split, index, spec)
    return scene_id.replace('_', '-'), f'view{image_id}_1_0'


def sample_files(root: Path, scene_id: str, image_id: str) -> dict[str, Path]:
    """Path of every file of one image."""
    folder = Path(root) / 'data' / scene_id
    name, angle, rotation = image_id.split('_')
    view = f'{angle}_{rotation}'
    return {
        'rgb': folder / f'{name}_i{view}.jpg',
        'segmap': folder / f'{name}_segmap{view}.mapped.npz',
        'intrinsics': folder / f'{name}_intrinsics_{angle}.npy',
        'geometry': folder / f'{name}_geometry{view}.npz',
        'segmentation': folder / f'{name}_segmentation{view}.mapped.npz',
        'weighting': folder / f'{name}_weighting{view}.npz',
        'depth': Path(root) / 'depth_gen' / scene_id / f'{name}_d{view}.png',
        'room_mask': Path(root) / 'room_mask' / scene_id / f'{name}_rm{view}.png',
    }


def write_sample(
    root: Path, scene_id: str, image_id: str, sample: SynthSample, spec: SynthRoomsSpec
) -> None:
    """Write the eight files of one image."""
    files = sample_files(root, scene_id, image_id)
    picture, volumes = sample.picture, sample.volumes
    write_image(files['rgb'], picture.rgb)
    segmap = np.stack([picture.semantic, picture.instance_ids], axis=-1)
    write_npz(files['segmap'], data=segmap)
    camera = np.eye(4, dtype=np.float32)
    camera[:3, :3] = sample.view.K
    write_npy(files['intrinsics'], camera)
    frustum = visible_frustum(spec.grid)
    inside = inside_solids(sample.scene, sample.view, spec.grid, frustum)
    distance = np.where(inside, -volumes.tudf, volumes.tudf).astype(np.float16)
    write_npz(files['geometry'], data=distance, mask=~frustum)
    labels = np.stack([volumes.semantic, volumes.instance_ids])
    write_npz(files['segmentation'], data=labels)
    write_npz(files['weighting'], data=volumes.weights.astype(np.float16))
    units = np.rint(picture.depth.astype(np.float64) * _UNITS_PER_METRE)
    write_gray16(files['depth'], units.clip(0, _UINT16_MAX).astype(np.uint16))
    room = np.where(picture.semantic > 0, _UINT16_MAX, 0).astype(np.uint16)
    write_gray16(files['room_mask'], room)


def _write_meta(_root: Path, _spec: SynthRoomsSpec) -> None:
    """Nothing: every image has its own camera and frustum mask."""


MATTERPORT_LAYOUT = Layout(
    'matterport', image_name, sample_files, write_sample, _write_meta
)
