"""One generated image: pixels and voxels tell the same story."""

import numpy as np
import pytest

from mmp3d.structures import FRONT3D, FrustumGrid
from mmp3d.testing.synth_rooms import SynthRoomsSpec, generate_sample, scene_name
from mmp3d.testing.synth_rooms.generator import draw_scene, visible_frustum
from mmp3d.testing.synth_rooms.scene import distances_to

GRID = FrustumGrid(dims=(128, 128, 128), voxel_size=0.06)
SPEC = SynthRoomsSpec(seed=5, grid=GRID)


@pytest.fixture(scope='module')
def sample():
    return generate_sample('val', 3, SPEC)


def pixel_voxels(sample):
    """Nearest lattice index of every pixel's surface point, and which are in range."""
    depth, K = sample.picture.depth.astype(np.float64), sample.view.K
    v, u = np.indices(depth.shape)
    points = np.stack(
        [(u - K[0, 2]) / K[0, 0] * depth, (v - K[1, 2]) / K[1, 1] * depth, depth], -1
    )
    index = np.rint((points - GRID.origin_metres) / GRID.voxel_size).astype(int)
    inside = ((index >= 0) & (index < GRID.dims)).all(-1)
    index[~inside] = 0
    inside &= visible_frustum(GRID)[tuple(np.moveaxis(index, -1, 0))]
    return tuple(np.moveaxis(index, -1, 0)), inside


def test_pictures_have_the_published_size_and_range(sample):
    picture = sample.picture
    assert picture.rgb.shape == (240, 320, 3) and picture.rgb.dtype == np.uint8
    assert picture.depth.shape == (240, 320) and picture.depth.dtype == np.float32
    assert (picture.depth > 0.3).all() and (picture.depth < 10).all()
    assert (picture.semantic >= 1).all() and (picture.semantic <= 12).all()
    assert 60 < picture.rgb.mean() < 210  # neither dark nor burnt out
    assert picture.rgb.std() > 15


def test_things_have_instances_and_stuff_has_none(sample):
    things = np.isin(sample.picture.semantic, FRONT3D.thing_labels)
    np.testing.assert_array_equal(things, sample.picture.instance_ids > 0)
    volumes = sample.volumes
    things = np.isin(volumes.semantic, FRONT3D.thing_labels)
    np.testing.assert_array_equal(things, volumes.instance_ids > 0)


def test_several_objects_are_visible(sample):
    areas = np.bincount(sample.picture.instance_ids.ravel())[1:]
    assert (areas > 200).sum() >= 2


def test_surface_voxels_lie_under_the_pixels(sample):
    voxel, inside = pixel_voxels(sample)
    assert inside.mean() > 0.8
    # Half the diagonal of a voxel.
    assert sample.volumes.tudf[voxel][inside].max() < np.sqrt(3) / 2 + 1e-3


def test_labels_of_pixels_and_voxels_agree(sample):
    voxel, inside = pixel_voxels(sample)
    pixels, voxels = sample.picture, sample.volumes
    same = pixels.semantic[inside] == voxels.semantic[voxel][inside]
    # Within a voxel of two objects the nearer one owns the lattice point.
    assert same.mean() > 0.9
    same = pixels.instance_ids[inside] == voxels.instance_ids[voxel][inside]
    assert same.mean() > 0.9


def test_depth_is_that_of_the_nearest_surface(sample):
    rows, columns = np.indices((240, 320))[:, ::17, ::13]
    depth = sample.picture.depth[rows, columns].astype(np.float64).ravel()
    K = sample.view.K
    rays = np.stack(
        [
            (columns.ravel() - K[0, 2]) / K[0, 0],
            (rows.ravel() - K[1, 2]) / K[1, 1],
            np.ones(depth.size),
        ],
        -1,
    )
    pose = sample.view.cam2world
    world = (rays * depth[:, None]) @ pose[:3, :3].T + pose[:3, 3]
    distance, part = distances_to(sample.scene, world, 0.1)
    assert distance.max() < 1e-4  # float32 depth, and steps that end 2e-5 m off
    labels = sample.scene.label[sample.scene.owner[part]]
    same = labels == sample.picture.semantic[rows, columns].ravel()
    assert same.mean() > 0.99  # where surfaces touch, either is right


def test_splits_rooms_and_seeds_differ():
    other = SynthRoomsSpec(seed=6, grid=GRID)
    sizes = [
        draw_scene(split, index, spec).room.shell.size
        for split, index, spec in (
            ('train', 0, SPEC),
            ('val', 0, SPEC),
            ('train', 1, SPEC),
            ('train', 0, other),
        )
    ]
    assert len(set(sizes)) == 4


def test_views_of_one_room_share_it():
    spec = SynthRoomsSpec(seed=5, grid=GRID, images_per_room=2)
    first, second = (draw_scene('test', index, spec) for index in (2, 3))
    assert first.room == second.room
    assert (first.view.cam2world != second.view.cam2world).any()
    assert scene_name('test', 3, spec) == ('synth-test-000001', '0001')


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match='split must be one of'):
        generate_sample('valid', 0, SPEC)
    with pytest.raises(ValueError, match='seed must not be negative'):
        SynthRoomsSpec(seed=-1)
    with pytest.raises(ValueError, match='images_per_room must be positive'):
        SynthRoomsSpec(images_per_room=0)
