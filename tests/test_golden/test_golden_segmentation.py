"""Panoptic inference in 2D and 3D against the recorded one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from golden import Golden, golden_files, load

from mmp3d.sparse import SparseVoxels
from mmp3d.structures import FRONT3D, CameraBatch, FrustumGrid, QueryPredictions
from projects.NvPanoptix3D.nvpanoptix3d.structures import ViewPredictions
from projects.NvPanoptix3D.nvpanoptix3d.view_segmentation import segment_views
from projects.NvPanoptix3D.nvpanoptix3d.volume_segmentation import segment_volumes

NUM_CLASSES, NUM_THINGS = 13, 9
# The manifest allows other ids at arg-max ties of resized logits.
MOST_TIES = 1e-3


def label_space_of(meta: dict):
    num_classes = meta.get('num_classes', NUM_CLASSES)
    num_things = meta.get('num_thing_classes', NUM_THINGS)
    return replace(
        FRONT3D,
        classes=tuple(f'class {i}' for i in range(num_classes)),
        palette=((0, 0, 0),) * num_classes,
        display_palette=((0, 0, 0),) * num_classes,
        thing_labels=tuple(range(1, num_things + 1)),
    )


def views_of(class_logits, mask_logits, depth) -> ViewPredictions:
    nothing = torch.zeros(len(class_logits), 1, 1, 1)
    return ViewPredictions(
        final=QueryPredictions(class_logits, mask_logits),
        auxiliary=(),
        queries=nothing[..., 0],
        depth=depth,
        plane_logits=None,
        mask_features=nothing,
        pyramid=(nothing, nothing, nothing),
        depth_features=nothing,
        pose_encoding=None,
    )


def batch_of(padded_size, image_sizes) -> CameraBatch:
    batch_size = len(image_sizes)
    return CameraBatch(
        images=torch.zeros(batch_size, 1, 3, *padded_size),
        K=torch.eye(3).expand(batch_size, 1, 3, 3),
        image_sizes=tuple(tuple(size) for size in image_sizes),
        grid=FrustumGrid(dims=(8, 8, 8)),
    )


def check_segments(segments, expected: np.ndarray) -> None:
    """Rows of ``expected``: id, category, is_thing."""
    ours = [[s.id, s.label, int(s.is_thing)] for s in segments]
    assert ours == expected.astype(int).reshape(-1, 3).tolist()


def check_ids(ids: torch.Tensor, expected: np.ndarray, most_wrong: float) -> np.ndarray:
    """Compare ids and give the cells at which they agree."""
    assert tuple(ids.shape) == expected.shape
    agree = ids.numpy() == expected
    assert (~agree).mean() <= most_wrong
    return agree


@pytest.mark.parametrize('path', golden_files('F_panoptic2d_case*.npz'))
def test_panoptic_2d(path):
    fixture = load(path)
    meta, expected = fixture.meta, fixture.outputs
    mask_logits = fixture.tensor('mask_pred')[None]
    size = tuple(mask_logits.shape[-2:])
    found_nothing = len(expected['segment_ids']) == 0
    (view,) = segment_views(
        views_of(
            fixture.tensor('mask_cls')[None], mask_logits, fixture.tensor('depth_pred')
        ),
        batch_of(size, [size]),
        label_space=label_space_of(meta),
        object_mask_threshold=meta['object_mask_threshold'],
        overlap_threshold=meta['overlap_threshold'],
        # parity: the reference does not clamp where nothing was found
        max_depth=None if found_nothing else meta['depth_scale'],
    )
    np.testing.assert_array_equal(view.panoptic.ids, expected['panoptic_seg'])
    check_segments(
        view.panoptic.segments,
        np.stack(
            (
                expected['segment_ids'],
                expected['segment_categories'],
                expected['segment_isthing'],
            ),
            axis=1,
        ),
    )
    np.testing.assert_allclose(view.depth, expected['depth'], atol=1e-6)
    np.testing.assert_allclose(
        view.panoptic.class_probs, expected['semantic_prob'], atol=1e-6
    )


@pytest.mark.parametrize('path', golden_files('F_postprocessor_scale*.npz'))
def test_postprocessor(path):
    fixture = load(path)
    meta, expected = fixture.meta, fixture.outputs
    batch_size = len(fixture.inputs['pred_logits'])
    scale = meta['output_scale']
    assert scale in (0.5, 1.0)
    height, width = meta['image_hw']
    views = segment_views(
        views_of(
            fixture.tensor('pred_logits'),
            fixture.tensor('pred_masks'),
            fixture.tensor('pred_depths')[:, 0],
        ),
        batch_of(meta['padded_hw'], [meta['image_hw']] * batch_size),
        label_space=label_space_of(meta),
        object_mask_threshold=meta['object_mask_threshold'],
        overlap_threshold=meta['overlap_threshold'],
        max_depth=meta['depth_scale'],
        plane_size=None if scale == 1 else (height // 2, width // 2),
    )
    for b, view in enumerate(views):
        names = f'image{b}/'
        agree = check_ids(
            view.panoptic.ids, expected[f'{names}panoptic_seg'], MOST_TIES
        )
        check_segments(
            view.panoptic.segments, expected[f'{names}segments_id_category_isthing']
        )
        np.testing.assert_allclose(view.depth, expected[f'{names}depth'], atol=1e-5)
        probs, labels = view.panoptic.class_probs.max(dim=0)
        np.testing.assert_allclose(
            probs[agree], expected[f'{names}semantic_prob_max'][agree], atol=1e-5
        )
        np.testing.assert_array_equal(
            labels[agree], expected[f'{names}semantic_prob_argmax'][agree]
        )


@pytest.mark.parametrize('path', golden_files('F_infer2d_for_stage2*.npz'))
def test_views_for_stage_2(path):
    fixture = load(path)
    meta, expected = fixture.meta, fixture.outputs
    batch_size = len(fixture.inputs['pred_logits'])
    image_sizes = meta['nopad_image_shape'] or [meta['image_hw']] * batch_size
    width, height = meta['reduced_target_size_wh']
    views = segment_views(
        views_of(
            fixture.tensor('pred_logits'),
            fixture.tensor('pred_masks'),
            fixture.tensor('depth')[:, 0],
        ),
        batch_of(meta['padded_hw'], image_sizes),
        label_space=label_space_of(meta),
        object_mask_threshold=meta['object_mask_threshold'],
        overlap_threshold=meta['overlap_threshold'],
        plane_size=(height, width),
    )
    for b, view in enumerate(views):
        names = f'image{b}/'
        agree = check_ids(
            view.panoptic.ids, expected[f'{names}panoptic_seg'], MOST_TIES
        )
        check_segments(
            view.panoptic.segments, expected[f'{names}segments_id_category_isthing']
        )
        np.testing.assert_allclose(view.depth, expected[f'{names}depth'], atol=1e-5)
        np.testing.assert_allclose(
            view.panoptic.class_probs[:, agree],
            expected[f'{names}semantic_prob'][:, agree],
            atol=1e-5,
        )


def sparse_of(fixture: Golden, name: str, batch_size: int) -> SparseVoxels:
    return SparseVoxels(
        fixture.tensor(f'{name}/coords').int(),
        fixture.tensor(f'{name}/feats'),
        stride=1,
        batch_size=batch_size,
    )


@pytest.mark.parametrize('path', golden_files('H_panoptic3d_*.npz'))
def test_panoptic_3d(path):
    fixture = load(path)
    meta, expected = fixture.meta, fixture.outputs
    class_logits = fixture.tensor('mask_cls')
    batch_size, num_queries, _ = class_logits.shape
    volumes = segment_volumes(
        class_logits,
        # The recorded mask logits: features that pick one query each.
        sparse_of(fixture, 'segm', batch_size),
        torch.eye(num_queries).expand(batch_size, -1, -1),
        sparse_of(fixture, 'geometry', batch_size),
        (meta['grid_dimensions'],) * 3,
        label_space=label_space_of(meta),
        object_mask_threshold=meta['object_mask_threshold'],
        truncation=meta['truncation'],
        surface_limit=meta['surface_limit'],
    )
    assert len(volumes) == batch_size
    for b, volume in enumerate(volumes):
        names = f'image{b}/'
        np.testing.assert_array_equal(volume.panoptic.ids, expected[f'{names}panoptic'])
        np.testing.assert_array_equal(
            volume.panoptic.semantic(), expected[f'{names}semantic']
        )
        ours = [[s.id, s.label] for s in volume.panoptic.segments]
        assert ours == expected[f'{names}mapping'].tolist()
        assert volume.tudf.double().sum().item() == pytest.approx(
            float(expected[f'{names}geometry_dense_sum']), rel=1e-6
        )
