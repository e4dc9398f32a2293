"""From a seed to the full ground truth of one image."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass, field

import numpy as np
from jaxtyping import Bool

from mmp3d.geometry.frustum import frustum_mask
from mmp3d.structures import FrustumGrid
from mmp3d.testing.synth_rooms.layout import Room, build_room
from mmp3d.testing.synth_rooms.lights import Lights, draw_lights
from mmp3d.testing.synth_rooms.render import Picture, render
from mmp3d.testing.synth_rooms.scene import PackedScene, pack_scene
from mmp3d.testing.synth_rooms.viewpoint import (
    IMAGE_SIZE,
    Viewpoint,
    choose_viewpoint,
    front3d_intrinsics,
)
from mmp3d.testing.synth_rooms.volumes import Volumes, compute_volumes
from mmp3d.utils import check_choice, check_positive

# Raise whenever the same seed gives other rooms or pictures than before.
VERSION = 2

# The position of a split is part of every room's seed: keep the order.
SPLITS = ('train', 'val', 'test')


@dataclass(frozen=True)
class SynthRoomsSpec:
    """Everything that the bytes of a generated image depend on.

    Attributes:
        seed: Of the whole dataset, from 0.
        grid: Lattice of the volumes.
        images_per_room: Views of one room before the next begins.
        version: Of the generator.
    """

    seed: int = 0
    grid: FrustumGrid = field(default_factory=FrustumGrid)
    images_per_room: int = 1
    version: int = VERSION

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f'seed must not be negative, got {self.seed}')
        check_positive('images_per_room', self.images_per_room)

    def to_json(self) -> dict[str, object]:
        """The same as plain JSON values."""
        grid = {k: v for k, v in asdict(self.grid).items() if v is not None}
        grid = {k: list(v) if isinstance(v, tuple) else v for k, v in grid.items()}
        return {
            'generator': 'SynthRooms',
            'version': self.version,
            'seed': self.seed,
            'images_per_room': self.images_per_room,
            'grid': grid,
        }


@dataclass(frozen=True)
class SynthScene:
    """What one image will show, before anything is rendered.

    Attributes:
        room: Shell and furniture.
        scene: The same as arrays.
        lights: What lights it.
        view: The camera.
    """

    room: Room
    scene: PackedScene
    lights: Lights
    view: Viewpoint


@dataclass(frozen=True)
class SynthSample:
    """One image with all its ground truth, camera-aligned.

    Attributes:
        room: What was drawn, for those who want more than its pictures.
        scene: The same as arrays.
        view: The camera.
        picture: Colour, depth and labels of every pixel.
        volumes: Distances, labels and weights of every voxel.
    """

    room: Room
    scene: PackedScene
    view: Viewpoint
    picture: Picture
    volumes: Volumes


def scene_name(split: str, index: int, spec: SynthRoomsSpec) -> tuple[str, str]:
    """Scene id and image id of the image number ``index`` of a split."""
    check_choice('split', split, SPLITS)
    room, image = divmod(index, spec.images_per_room)
    return f'synth-{split}-{room:06d}', f'{image:04d}'


def draw_scene(split: str, index: int, spec: SynthRoomsSpec) -> SynthScene:
    """Draw room, lights and camera of image number ``index`` of a split.

    They depend on no other image, and on the grid not at all.
    """
    check_choice('split', split, SPLITS)
    room_number, image = divmod(index, spec.images_per_room)
    seeds = (spec.seed, SPLITS.index(split), room_number)
    room_rng = np.random.default_rng((*seeds, 0))
    room = build_room(room_rng)
    lights = draw_lights(room_rng, room)
    scene = pack_scene(room.objects())
    view = choose_viewpoint(np.random.default_rng((*seeds, image + 1)), room, scene)
    return SynthScene(room, scene, lights, view)


def generate_sample(split: str, index: int, spec: SynthRoomsSpec) -> SynthSample:
    """Make image number ``index`` of a split; it depends on no other image."""
    drawn = draw_scene(split, index, spec)
    picture = render(drawn.scene, drawn.lights, drawn.view)
    frustum = visible_frustum(spec.grid)
    volumes = compute_volumes(drawn.scene, drawn.view, spec.grid, frustum)
    return SynthSample(drawn.room, drawn.scene, drawn.view, picture, volumes)


@functools.lru_cache(maxsize=2)
def visible_frustum(grid: FrustumGrid) -> Bool[np.ndarray, 'X Y Z']:
    """Voxels that 3D-Front's camera sees into, camera-aligned; do not write to it."""
    mask = frustum_mask(front3d_intrinsics(), IMAGE_SIZE, grid).numpy()
    mask.flags.writeable = False
    return mask
