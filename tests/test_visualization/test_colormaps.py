"""Colours of segments and depths."""

import numpy as np
import pytest
import torch

from mmp3d.structures import (
    FRONT3D,
    MATTERPORT3D,
    PanopticSegmentation,
    Segment,
    TriangleMesh,
)
from mmp3d.visualization import (
    colorize_depth,
    colorize_mesh,
    colorize_panoptic,
    panoptic_of_maps,
    segment_colors,
)

CHAIR, WALL = 3, 10
SEGMENTS = (
    Segment(4, CHAIR, True),
    Segment(2, CHAIR, True),
    Segment(1, WALL, False),
)
VOID = FRONT3D.display_palette[0]


@pytest.mark.parametrize('space', [FRONT3D, MATTERPORT3D])
def test_colours_of_classes_can_be_told_apart(space):
    palette = np.array(space.display_palette, float)
    distance = np.linalg.norm(palette[:, None] - palette[None], axis=-1)
    assert distance[~np.eye(len(palette), dtype=bool)].min() > 40


def test_instances_are_shades_of_their_class():
    ids = torch.zeros(2, 3, dtype=torch.int32)
    panoptic = PanopticSegmentation(ids, SEGMENTS)
    colors = segment_colors(panoptic, FRONT3D)
    assert tuple(colors[4]) == FRONT3D.display_palette[CHAIR]
    assert tuple(colors[1]) == FRONT3D.display_palette[WALL]
    assert tuple(colors[0]) == tuple(colors[3]) == VOID
    assert (colors[2] > colors[4]).all()
    by_class = segment_colors(panoptic, FRONT3D, by='class')
    assert tuple(by_class[2]) == tuple(by_class[4])


def test_images_get_lines_between_segments_and_volumes_do_not():
    ids = torch.tensor([[4, 4, 1], [0, 4, 1]], dtype=torch.int32)
    chair, wall = (np.array(FRONT3D.display_palette[c]) for c in (CHAIR, WALL))
    image = colorize_panoptic(PanopticSegmentation(ids, SEGMENTS), FRONT3D)
    np.testing.assert_array_equal(image[0, 0], chair)
    np.testing.assert_array_equal(image[0, 2], wall // 2)
    np.testing.assert_array_equal(image[1, 0], np.array(VOID) // 2)
    volume = PanopticSegmentation(ids[None], SEGMENTS)
    np.testing.assert_array_equal(colorize_panoptic(volume, FRONT3D)[0, 0, 2], wall)


def test_ids_without_a_segment_and_no_segments_at_all_are_void():
    ids = torch.full((2, 3), 9, dtype=torch.int32)
    for segments in (SEGMENTS, ()):
        image = colorize_panoptic(PanopticSegmentation(ids, segments), FRONT3D)
        assert (image == VOID).all()
    points = np.zeros((1, 3), np.float32)
    mesh = TriangleMesh(points, np.zeros((0, 3), np.int32), points, np.array([9]))
    colors = colorize_mesh(mesh, PanopticSegmentation(ids, SEGMENTS), FRONT3D)
    assert tuple(colors[0]) == VOID


def test_depth_runs_from_red_to_blue_and_unknown_is_black():
    depth = np.array([[0.5, 3.0, 5.5], [0.0, np.nan, np.inf]], np.float32)
    near, _, far = colorize_depth(depth)[0].astype(int)
    assert near[0] > 2 * near[2] and far[2] > far[0] and far[2] > far[1]
    assert not colorize_depth(depth)[1].any()
    assert not colorize_depth(np.zeros((2, 3), np.float32)).any()


def test_a_given_depth_range_clips():
    depth = np.array([[0.1, 0.5, 4.0, 9.0]], np.float32)
    painted = colorize_depth(depth, (0.5, 4.0))[0]
    np.testing.assert_array_equal(painted[0], painted[1])
    np.testing.assert_array_equal(painted[2], painted[3])
    flat = colorize_depth(np.full((2, 3), 2.0, np.float32))
    assert (flat == flat[0, 0]).all()


def test_maps_become_segments_in_pixels_and_voxels():
    semantic = np.array([[CHAIR, CHAIR, 0], [CHAIR, WALL, WALL]])
    instances = np.array([[1, 2, 5], [1, 7, 8]])
    panoptic = panoptic_of_maps(semantic, instances, FRONT3D)
    assert panoptic.ids.tolist() == [[1, 2, 0], [1, 3, 3]]
    assert [s.label for s in panoptic.segments] == [CHAIR, CHAIR, WALL]
    volume = panoptic_of_maps(semantic[None], instances[None], FRONT3D)
    assert volume.ids.shape == (1, 2, 3)
    assert panoptic_of_maps(0 * semantic, instances, FRONT3D).segments == ()


def test_unknown_ways_to_colour_are_refused():
    panoptic = PanopticSegmentation(torch.zeros(1, 1, dtype=torch.int32), ())
    with pytest.raises(ValueError, match='by must be one of'):
        segment_colors(panoptic, FRONT3D, by='instances')
