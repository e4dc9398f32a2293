"""Panels of samples, and the visualizer of runners."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData

from mmp3d.registry import VISUALIZERS
from mmp3d.structures import (
    FRONT3D,
    FrustumGrid,
    PanopticReconstructionSample,
    PanopticSegmentation,
    Segment,
    VolumeData,
)
from mmp3d.visualization import ReconstructionVisualizer, sample_panel

BED, WALL, FLOOR = 2, 10, 11
GRID = FrustumGrid(dims=(64, 48, 64), voxel_size=0.1, depth_range=(0.4, 6.0))
HEIGHT, WIDTH = 60, 80
K = np.array([[70.0, 0, 40], [0, 70.0, 30], [0, 0, 1]])
IMAGE = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)


def _room():
    """A back wall, a floor and a box on it, seen from 3 m."""
    tudf = np.full(GRID.dims, 12, np.float32)
    semantic = np.zeros(GRID.dims, np.uint8)
    x, y, z = np.meshgrid(*map(np.arange, GRID.dims), indexing='ij')
    for label, distance in (
        (WALL, np.abs(z - 50)),
        (FLOOR, np.abs(y - 38)),
        (
            BED,
            np.maximum.reduce(
                [np.abs(x - 32) - 6, np.abs(y - 34) - 4, np.abs(z - 40) - 6]
            ).clip(0),
        ),
    ):
        closer = distance < tudf
        tudf = np.minimum(tudf, distance).astype(np.float32)
        semantic[closer & (distance < 2)] = label
    return tudf, semantic


@pytest.fixture(scope='module')
def sample():
    """One image with ground truth and predictions of both stages."""
    tudf, semantic = _room()
    sample = PanopticReconstructionSample(
        metainfo={
            'sample_id': 'room',
            'label_space': FRONT3D,
            'grid': GRID,
            'img_shape': (HEIGHT, WIDTH),
            'K': K,
        }
    )
    instances = (semantic == BED).astype(np.int32)
    sample.gt_volume = VolumeData(
        tudf=torch.from_numpy(tudf),
        semantic=torch.from_numpy(semantic),
        instance_ids=torch.from_numpy(instances),
    )
    labels = np.full((1, HEIGHT, WIDTH), WALL, np.int32)
    labels[:, 40:] = FLOOR
    labels[:, 20:50, 30:60] = BED
    depth = torch.full((1, HEIGHT, WIDTH), 3.0)
    sample.gt_depth_map = PixelData(depth=depth)
    sample.gt_panoptic_seg = PixelData(
        semantic=torch.from_numpy(labels),
        instance_ids=torch.from_numpy((labels == BED).astype(np.int32)),
    )
    segments = (
        Segment(1, BED, True),
        Segment(2, WALL, False),
        Segment(3, FLOOR, False),
    )
    table = np.zeros(13, np.int32)
    table[[BED, WALL, FLOOR]] = 1, 2, 3
    sample.pred_depth_map = PixelData(depth=depth + 1)
    sample.pred_panoptic_seg = PanopticSegmentation(
        torch.from_numpy(table[labels[0]]), segments
    )
    sample.pred_volume = VolumeData(tudf=torch.from_numpy(tudf))
    sample.pred_volume_seg = PanopticSegmentation(
        torch.from_numpy(table[semantic]), segments
    )
    return sample


def _share(picture, color, tolerance=45):
    """Share of the pixels whose hue is near a colour's, whatever their brightness."""
    scale = picture.max(axis=-1, keepdims=True) / max(color)
    near = (
        np.abs(picture - scale * np.array(color)).max(axis=-1)
        < tolerance * scale[..., 0]
    )
    return near.mean()


@pytest.mark.parametrize('which', ['gt', 'pred'])
def test_a_panel_shows_all_parts(sample, which):
    panel = sample_panel(sample, IMAGE, which)
    assert panel.dtype == np.uint8 and panel.shape[1:] == (1200, 3)
    assert 700 < panel.shape[0] < 900
    scene = panel[340:-30]
    for label in (BED, WALL, FLOOR):
        for side in (scene[:, :600], scene[:, 600:]):
            assert _share(side, FRONT3D.display_palette[label]) > 0.005, label


def test_truth_and_the_same_prediction_look_alike(sample):
    truth, ours = (sample_panel(sample, IMAGE, which) for which in ('gt', 'pred'))
    np.testing.assert_array_equal(truth[365:-30], ours[365:-30])


def test_a_stage_1_sample_has_one_row(sample):
    flat = sample.clone()
    del flat.pred_volume, flat.pred_volume_seg
    panel = sample_panel(flat, IMAGE)
    assert panel.shape[0] < 400


def test_missing_parts_are_left_empty(sample):
    bare = PanopticReconstructionSample(metainfo={'label_space': FRONT3D})
    for which in ('gt', 'pred'):
        assert sample_panel(bare, IMAGE, which).shape[1] == 1200


def test_training_targets_serve_where_maps_are_absent(sample):
    targets = sample.clone()
    masks = torch.zeros(2, HEIGHT, WIDTH, dtype=torch.bool)
    masks[0, 10:30, 10:40] = True
    masks[1, 20:] = True
    targets.gt_instances = InstanceData(labels=torch.tensor([BED, FLOOR]), masks=masks)
    del targets.gt_panoptic_seg, targets.gt_volume
    panel = sample_panel(targets, IMAGE, 'gt')
    assert _share(panel[:320, 810:], FRONT3D.display_palette[BED]) > 0.05


def test_a_volume_without_surface_is_said_so(sample):
    empty = sample.clone()
    empty.pred_volume = VolumeData(tudf=torch.full(GRID.dims, 12.0))
    empty.pred_volume_seg = PanopticSegmentation(
        torch.zeros(GRID.dims, dtype=torch.int32), ()
    )
    assert sample_panel(empty, IMAGE).shape[1] == 1200


def test_other_image_sizes_and_kinds_are_fine_and_others_refused(sample):
    tall = np.zeros((300, 90, 3), np.uint8)
    assert sample_panel(sample, tall).shape[1] == 1200
    with pytest.raises(ValueError, match='which must be one of'):
        sample_panel(sample, IMAGE, 'both')


def test_the_visualizer_hands_panels_to_its_backends(sample, tmp_path):
    visualizer = VISUALIZERS.build(
        {
            'type': 'ReconstructionVisualizer',
            'name': 'panels',
            'vis_backends': [{'type': 'LocalVisBackend'}],
            'save_dir': str(tmp_path),
        }
    )
    assert isinstance(visualizer, ReconstructionVisualizer)
    panel = visualizer.add_datasample('test/room', IMAGE, sample, draw_gt=True, step=7)
    assert panel.shape[0] > 1400
    (written,) = tmp_path.rglob('*.png')
    assert written.name == 'test_room_7.png'
    with pytest.raises(ValueError, match='nothing to draw'):
        visualizer.add_datasample('x', IMAGE, sample, draw_pred=False)


def test_the_title_says_where_the_camera_of_a_free_image_comes_from(sample):
    flat = sample.clone()
    del flat.pred_volume, flat.pred_volume_seg
    free = flat.clone()
    free.set_metainfo({'intrinsics_source': 'exif'})
    plain, titled = (sample_panel(s, IMAGE) for s in (flat, free))
    assert (plain[:22, :400] != titled[:22, :400]).any()
    np.testing.assert_array_equal(plain[22:], titled[22:])
    np.testing.assert_array_equal(plain[:, 400:], titled[:, 400:])
