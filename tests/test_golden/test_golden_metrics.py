"""Metrics against the recorded numbers of the reference implementation."""

import re

import numpy as np
import pytest
import torch
from golden import golden_files, load

from mmp3d.evaluation import ImagePanopticQuality
from mmp3d.evaluation.functional import (
    PanopticCounts,
    SegmentCover,
    count_matches,
    overlaps,
    thickened_masks,
    thickened_segments,
    volume_ground_truth,
)
from mmp3d.structures import FRONT3D, MATTERPORT3D, PanopticSegmentation, Segment


def _images(inputs):
    names = {re.match(r'image(\d+)/', name) for name in inputs}
    indices = sorted({int(found.group(1)) for found in names if found})
    return [
        {
            name.partition('/')[2]: array
            for name, array in inputs.items()
            if name.startswith(f'image{index}/')
        }
        for index in indices
    ]


def _sample(image, meta):
    """Turn recorded maps to a sample: void is 0 for us, depths are metres."""
    void = meta['void_label']
    semantic = np.where(image['raw_sem_seg'] == void, 0, image['raw_sem_seg'])
    segments = tuple(
        Segment(int(i), int(label), FRONT3D.is_thing(int(label)))
        for i, label in zip(
            image['pred_segment_ids'], image['pred_segment_categories'], strict=True
        )
    )
    return {
        'label_space': FRONT3D,
        'gt_panoptic_seg': {
            'semantic': torch.from_numpy(semantic[None]),
            'instance_ids': torch.from_numpy(image['raw_inst_seg'][None]),
        },
        'gt_depth_map': {'depth': torch.from_numpy(image['raw_depth'][None] / 256)},
        'pred_depth_map': {'depth': torch.from_numpy(image['pred_depth'][None])},
        'pred_panoptic_seg': PanopticSegmentation(
            torch.from_numpy(image['pred_panoptic']), segments
        ),
    }


@pytest.mark.parametrize('path', golden_files('B_pq2d_case*.npz'))
def test_image_panoptic_quality(path):
    golden = load(path)
    thresholds = [t for t in golden.meta['thresholds'] if t > 0]
    metric = ImagePanopticQuality(thresholds, golden.meta['matching_threshold'])
    metric.process(None, [_sample(i, golden.meta) for i in _images(golden.inputs)])
    groups = ['pq', *(f'dpq_{t:g}' for t in thresholds)]
    for group, counts in zip(groups, zip(*metric.results, strict=True), strict=True):
        total = sum(counts, PanopticCounts.zeros(FRONT3D.num_classes))
        expected = {
            name: golden.outputs[f'{group}/{name}']
            for name in ('iou_sum', 'tp', 'fp', 'fn', 'pq_per_class')
        }
        np.testing.assert_array_equal(total.num_matched, expected['tp'])
        np.testing.assert_array_equal(total.num_unmatched_pred, expected['fp'])
        np.testing.assert_array_equal(total.num_unmatched_gt, expected['fn'])
        np.testing.assert_allclose(total.iou_sum, expected['iou_sum'], atol=1e-6)
        scores = total.scores()
        for name, ours in (
            ('pq', scores.quality),
            ('sq', scores.segmentation),
            ('rq', scores.recognition),
        ):
            recorded = golden.outputs[f'{group}/{name}_per_class']
            np.testing.assert_allclose(ours, recorded, atol=1e-6)
    metrics = metric.compute_metrics(metric.results)
    for group in groups:
        for name, suffix in (('all', ''), ('things', '_things'), ('stuff', '_stuff')):
            np.testing.assert_allclose(
                metrics[f'{group.upper()}{suffix}_parity'],
                golden.outputs[f'{group}/mean_{name}'],
                atol=1e-6,
            )
    for name, suffix in (('all', ''), ('things', '_things'), ('stuff', '_stuff')):
        np.testing.assert_allclose(
            metrics[f'DPQ{suffix}_parity'],
            golden.outputs[f'average_over_positive_thresholds/{name}'],
            atol=1e-6,
        )


@pytest.mark.parametrize('path', golden_files('B_prq_case*.npz'))
def test_panoptic_reconstruction_quality(path):
    golden = load(path)
    num_classes = max(golden.meta['class_ids']) + 1
    total = PanopticCounts.zeros(num_classes)
    for index, image in enumerate(_images(golden.inputs)):
        found = overlaps(
            SegmentCover.from_masks(image['gt_masks']),
            image['gt_labels'].tolist(),
            SegmentCover.from_masks(image['pred_masks']),
            image['pred_labels'].tolist(),
        )
        counts = count_matches(found, num_classes, golden.meta['matching_threshold'])
        np.testing.assert_allclose(
            counts.table[golden.meta['class_ids']],
            golden.outputs[f'image{index}/iou_tp_fp_fn_n'],
            atol=1e-6,
        )
        total = total + counts
    np.testing.assert_allclose(
        total.table[golden.meta['class_ids']],
        golden.outputs['total_iou_tp_fp_fn_n'],
        atol=1e-6,
    )
    scores = total.scores()
    means = scores.mean(golden.meta['class_ids'])
    if golden.outputs['raises_zero_division']:
        assert means == (0.0, 0.0, 0.0)  # ours is defined
        return
    recorded = [100 * golden.outputs[name] for name in ('prq', 'rsq', 'rrq')]
    np.testing.assert_allclose(means, recorded, atol=1e-4)
    labels = golden.outputs['per_class_ids'].tolist()
    assert np.flatnonzero(scores.present).tolist() == labels
    ours = np.stack([scores.quality, scores.segmentation, scores.recognition], 1)
    np.testing.assert_allclose(
        ours[labels], 100 * golden.outputs['per_class_pq_sq_rq_n'][:, :3], atol=1e-4
    )


@pytest.mark.parametrize('path', golden_files('B_prq_case*.npz'))
def test_masks_of_small_volumes(path):
    golden = load(path)
    for image in _images(golden.inputs):
        sides = [('pred', image.get('raw_pred_panoptic')), ('gt', None)]
        if 'raw_gt_mapping' in image and len(image['gt_ids']):
            sides[1] = ('gt', image['raw_gt_panoptic'])
        for side, panoptic in sides:
            if panoptic is None:
                continue
            distance = image.get('raw_pred_distance_field', image['raw_distance_field'])
            if side == 'gt':
                distance = image['raw_distance_field']
            mapping = image[f'raw_{side}_mapping']
            assert mapping[:, 0].tolist() == image[f'{side}_ids'].tolist()
            masks = thickened_masks(
                panoptic,
                mapping[:, 0].tolist(),
                distance,
                image['raw_frustum_mask'],
                golden.meta['iso_value'],
            )
            np.testing.assert_array_equal(masks, image[f'{side}_masks'])


@pytest.mark.parametrize('path', golden_files('B_prq_case*.npz'))
def test_true_segments_of_small_volumes(path):
    golden = load(path)
    for image in _images(golden.inputs):
        mapping = {int(i): int(label) for i, label in image['raw_gt_mapping']}
        space = MATTERPORT3D if 12 in mapping.values() else FRONT3D
        ids, labels = volume_ground_truth(image['raw_sem'], image['raw_ins'], space)
        assert list(labels.items()) == list(mapping.items())
        for segment_id in mapping:
            np.testing.assert_array_equal(
                ids == segment_id, image['raw_gt_panoptic'] == segment_id
            )


@pytest.mark.parametrize('path', golden_files('B_thicken_factor*.npz'))
def test_thickening_of_published_volumes(path):
    golden = load(path)
    shape = (256, 256, 256)
    frustum = np.ones(shape, bool)  # as meta['frustum_mask'] says in words
    frustum[:, :100] = False
    frustum[::7] = False
    ids = np.zeros(shape, np.int32)
    distance = np.full(shape, golden.meta['truncation'], np.float32)
    at = tuple(golden.inputs['coords'].T.astype(int))
    ids[at], distance[at] = golden.inputs['ids'], golden.inputs['distance']
    segment_ids = golden.inputs['mapping'][:, 0].tolist()
    cover = thickened_segments(
        ids,
        segment_ids,
        distance,
        frustum,
        golden.meta['iso_value'],
        golden.meta['downsample_factor'],
    )
    assert list(cover.shape) == golden.outputs['grid_shape'].tolist()
    for row, segment_id in enumerate(segment_ids):
        cells = cover.cells[cover.members[cover.sets, row]]
        ours = np.stack(np.unravel_index(cells, cover.shape), 1)
        recorded = golden.outputs[f'mask_coords_{segment_id}']
        np.testing.assert_array_equal(ours, recorded[np.lexsort(recorded.T[::-1])])
