"""Augmentations and the 3D truth: voxels are projected into the augmented image."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmp3d import geometry
from mmp3d.datasets import Front3DDataset
from mmp3d.datasets.transforms import (
    LoadFrustumMask,
    LoadVolumes,
    RandomCropReconstruction,
    RandomFlipReconstruction,
    ShortestEdgeResize,
)
from mmp3d.registry import TRANSFORMS
from mmp3d.structures import MATTERPORT3D, FrustumGrid

GRID = FrustumGrid(dims=(32, 24, 40), voxel_size=0.2)
SIZE = (120, 160)
K = np.array([[130.0, 0, 82.0], [0, 125.0, 57.0], [0, 0, 1]])


def _scene() -> dict:
    """Slabs that face the camera, each of its own instance, drawn voxel by voxel."""
    frustum = geometry.frustum_mask(K, SIZE, GRID).numpy()
    instances = np.zeros(GRID.dims, np.int32)
    x, y = np.indices(GRID.dims[:2])
    instances[..., 24] = 1 + (x // 3) * 8 + y // 3  # a wall of tiles, 4.4 m away
    instances[~frustum] = 0
    tudf = np.full(GRID.dims, GRID.truncation, np.float32)
    tudf[instances > 0] = 0
    rows, columns = np.indices(SIZE)
    z = GRID.origin_metres[2] + 24 * GRID.voxel_size
    index = [
        np.rint(((pixel - K[i, 2]) / K[i, i] * z - origin) / GRID.voxel_size)
        for i, (pixel, origin) in enumerate(
            zip((columns, rows), GRID.origin_metres[:2], strict=True)
        )
    ]
    i, j = (
        np.clip(v, 0, n - 1).astype(int)
        for v, n in zip(index, GRID.dims[:2], strict=True)
    )
    labels = 1 + (i // 3) * 8 + j // 3
    return {
        'sample_id': 'slabs',
        'img': np.repeat(labels[..., None] % 256, 3, axis=2).astype(np.uint8),
        'img_shape': SIZE,
        'ori_shape': SIZE,
        'K': K,
        'grid': GRID,
        'label_space': MATTERPORT3D,
        'gt_depth_map': np.full(SIZE, z, np.float32),
        'gt_semantic_map': (labels % 9 + 1).astype(np.int32),
        'gt_instance_map': labels.astype(np.int32),
        'gt_room_map': labels % 2 == 0,
        'gt_tudf': tudf,
        'gt_semantic_volume': (instances % 9 + (instances > 0)).astype(np.uint8),
        'gt_instance_volume': instances,
        'gt_weights': np.ones(GRID.dims, np.float32),
        'frustum_mask': frustum,
    }


def _agreement(results: dict) -> tuple[float, int]:
    """Share of labelled voxels whose pixel has their label, depth and room mask."""
    voxels = torch.from_numpy(results['gt_instance_volume']).nonzero()
    points = geometry.voxel_points(GRID, torch.float64)[tuple(voxels.T)]
    uv = geometry.project_points(points, torch.from_numpy(results['K']))
    height, width = results['img_shape']
    u, v = uv.round().long().T
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    u, v, voxels = u[inside], v[inside], voxels[inside]
    label = results['gt_instance_volume'][tuple(voxels.T)]
    right = results['gt_instance_map'][v, u] == label
    right &= results['gt_room_map'][v, u] == (label % 2 == 0)
    right &= np.abs(results['gt_depth_map'][v, u] - points[inside, 2].numpy()) < 1e-5
    return float(right.mean()), len(voxels)


def _consistent(results: dict) -> None:
    share, count = _agreement(results)
    assert count > 20
    # The pixel grid of a resized image cuts tiles at slightly other places.
    assert share > 0.97
    height, width = results['img_shape']
    for key in ('img', 'gt_depth_map', 'gt_semantic_map', 'gt_room_map'):
        assert results[key].shape[:2] == (height, width)
    assert results['gt_room_map'].dtype == bool
    mask = results['frustum_mask']
    assert not results['gt_instance_volume'][~mask].any()
    assert (results['gt_tudf'][~mask] == GRID.truncation).all()
    recomputed = geometry.frustum_mask(results['K'], (height, width), GRID).numpy()
    # A flip moves the open border of the image by one pixel.
    assert (recomputed != mask).sum() < 0.1 * recomputed.sum()


STEPS = {
    'resize': [ShortestEdgeResize((75, 180))],
    'horizontal': [RandomFlipReconstruction(1.0)],
    'vertical': [RandomFlipReconstruction(1.0, 'vertical')],
    'crop': [RandomCropReconstruction((70, 90))],
    'all': [
        ShortestEdgeResize((90, 150)),
        RandomCropReconstruction((80, 100), single_category_max_area=0.6),
        RandomFlipReconstruction(1.0),
        RandomFlipReconstruction(1.0, 'vertical'),
    ],
}


def test_the_scene_itself_is_consistent():
    _consistent(_scene())


@pytest.mark.parametrize('name', STEPS)
def test_voxels_stay_where_the_image_shows_them(name):
    for _ in range(2):
        results = _scene()
        for step in STEPS[name]:
            results = step.transform(results)
        _consistent(results)


def test_a_crop_cuts_the_frustum_and_keeps_what_remains():
    before = _scene()
    after = RandomCropReconstruction((40, 50)).transform(dict(before))
    kept = after['frustum_mask']
    assert 0 < kept.sum() < 0.4 * before['frustum_mask'].sum()
    for key in ('gt_tudf', 'gt_instance_volume', 'gt_semantic_volume'):
        np.testing.assert_array_equal(after[key][kept], before[key][kept])
        assert after[key].dtype == before[key].dtype
    np.testing.assert_array_equal(after['gt_weights'], before['gt_weights'])
    assert before['gt_instance_volume'][~kept].any()  # the argument is untouched


def test_a_window_larger_than_the_image_is_the_image():
    before = _scene()
    after = RandomCropReconstruction((500, 90)).transform(dict(before))
    assert after['img_shape'] == (120, 90)
    assert after['K'][1, 2] == K[1, 2]


def test_a_window_of_one_class_is_drawn_again():
    results = _scene()
    results['gt_semantic_map'] = np.full(SIZE, 3, np.int32)
    results['gt_semantic_map'][:, 120:] = 4
    results['gt_semantic_map'][:20] = 0  # void does not count

    def share(limit: float) -> float:
        mixed = 0
        for _ in range(40):
            crop = RandomCropReconstruction((60, 40), limit)
            light = {k: results[k] for k in ('img', 'img_shape', 'K', 'label_space')}
            light['gt_semantic_map'] = results['gt_semantic_map']
            mixed += (crop.transform(light)['gt_semantic_map'] == 4).any()
        return mixed / 40

    assert share(1.0) < 0.5
    assert share(0.9) > 0.8


def test_a_batch_can_share_one_size():
    resize = ShortestEdgeResize((30, 60, 90), samples_per_draw=4)
    light = {'img': np.zeros((*SIZE, 3), np.uint8), 'img_shape': SIZE, 'K': K}
    heights = [resize.transform(dict(light))['img_shape'][0] for _ in range(80)]
    batches = [set(heights[i : i + 4]) for i in range(0, 80, 4)]
    assert all(len(batch) == 1 for batch in batches)
    assert set.union(*batches) == {30, 60, 90}


def test_targets_that_would_not_follow_are_refused():
    crop = RandomCropReconstruction((40, 50))
    for key in ('gt_masks', 'gt_plane_depth', 'room_mask'):
        with pytest.raises(ValueError, match=f"must come before .*'{key}'"):
            crop.transform({**_scene(), key: np.zeros((1, 2))})
    results = _scene()
    del results['frustum_mask']
    with pytest.raises(ValueError, match='add LoadFrustumMask before it'):
        crop.transform(results)
    with pytest.raises(ValueError, match='share above 0 and up to 1'):
        RandomCropReconstruction((4, 5), single_category_max_area=0.0)
    with pytest.raises(ValueError, match=r"direction must be .* got 'diagonal'"):
        RandomFlipReconstruction(1.0, 'diagonal')


def test_files_may_not_be_loaded_after_the_view_changed(tiny_root, grid):
    dataset = Front3DDataset(str(tiny_root), 'meta/train.json', grid=grid)
    results = dataset.get_data_info(0)
    TRANSFORMS.build({'type': 'LoadReconstructionImage'}).transform(results)
    RandomFlipReconstruction(0.0).transform(results)
    with pytest.raises(ValueError, match=r"LoadVolumes .* must come before \['RandomF"):
        LoadVolumes().transform(results)
    # Computed from the present camera, it is right at any place.
    assert LoadFrustumMask().transform(results)['frustum_mask'].any()


def test_steps_that_know_nothing_of_volumes_are_refused(tiny_root, grid):
    def build(*steps: dict) -> Front3DDataset:
        return Front3DDataset(str(tiny_root), 'meta/train.json', steps, grid)

    flip = {'type': 'mmdet.RandomFlip', 'prob': 0.5}
    with pytest.raises(ValueError, match=r'mmdet\.RandomFlip in a pipeline with Load'):
        build({'type': 'LoadVolumes'}, flip)
    build({'type': 'LoadVolumes'}, {'type': 'mmdet.PhotoMetricDistortion'})
    build(flip)
