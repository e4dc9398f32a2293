"""Matching and counting, on the worked examples of the published measure."""

import numpy as np
import pytest

from mmp3d.evaluation.functional import (
    PanopticCounts,
    SegmentCover,
    count_matches,
    overlaps,
)

BED, CHAIR, SOFA, TABLE, WALL, CEILING = 2, 3, 4, 5, 10, 12


def _count(gt, pred, threshold=0.25, num_classes=13):
    """Count boxes ``(label, x0, x1, y0, y1, z0, z1)`` in an 8 x 8 x 8 volume."""

    def masks(boxes):
        volume = np.zeros((len(boxes), 8, 8, 8), bool)
        for mask, (_, x0, x1, y0, y1, z0, z1) in zip(volume, boxes, strict=True):
            mask[x0:x1, y0:y1, z0:z1] = True
        return SegmentCover.from_masks(volume)

    labels = [[box[0] for box in boxes] for boxes in (gt, pred)]
    found = overlaps(masks(gt), labels[0], masks(pred), labels[1])
    return count_matches(found, num_classes, threshold)


EXAMPLE_1 = {
    'gt': [
        (WALL, 0, 8, 0, 8, 7, 8),
        (CHAIR, 1, 3, 1, 3, 1, 3),
        (CHAIR, 5, 7, 1, 3, 1, 3),
    ],
    'pred': [
        (WALL, 0, 8, 0, 8, 6, 8),
        (CHAIR, 1, 4, 1, 3, 1, 3),
        (CHAIR, 5, 7, 1, 2, 1, 2),
        (TABLE, 0, 2, 5, 7, 0, 2),
    ],
}
EXAMPLE_2 = {
    'gt': [(BED, 0, 4, 0, 4, 0, 4), (SOFA, 0, 4, 4, 8, 0, 4)],
    'pred': [
        (BED, 0, 4, 0, 4, 0, 2),
        (BED, 0, 4, 0, 4, 0, 4),
        (SOFA, 0, 1, 4, 8, 0, 4),
        (CEILING, 0, 8, 0, 8, 7, 8),
    ],
}
ALL = range(1, 13)


def test_example_1_an_iou_equal_to_the_threshold_is_no_match():
    counts = _count(**EXAMPLE_1)
    np.testing.assert_allclose(counts.table[WALL], [0.5, 1, 0, 0, 1])
    np.testing.assert_allclose(counts.table[CHAIR], [2 / 3, 1, 1, 1, 2])
    np.testing.assert_allclose(counts.table[TABLE], [0, 0, 1, 0, 0])
    scores = counts.scores()
    np.testing.assert_allclose(scores.mean([CHAIR]), (100 / 3, 200 / 3, 50))
    np.testing.assert_allclose(scores.mean(ALL), (41.6666667, 58.3333333, 75))


def test_example_2_the_first_match_is_taken_not_the_best():
    counts = _count(**EXAMPLE_2)
    np.testing.assert_allclose(counts.table[BED], [0.5, 1, 1, 0, 1])
    np.testing.assert_allclose(counts.table[SOFA], [0, 0, 1, 1, 1])
    np.testing.assert_allclose(counts.table[CEILING], [0, 0, 1, 0, 0])
    np.testing.assert_allclose(counts.scores().mean(ALL), (16.6666667, 25, 33.3333333))


def test_example_2_with_the_first_two_predictions_swapped():
    pred = EXAMPLE_2['pred']
    counts = _count(EXAMPLE_2['gt'], [pred[1], pred[0], *pred[2:]])
    np.testing.assert_allclose(counts.scores().mean(ALL), (33.3333333, 50, 33.3333333))


def test_images_are_added_before_the_reduction():
    total = _count(**EXAMPLE_1) + _count(**EXAMPLE_2)
    np.testing.assert_allclose(
        total.scores().mean(ALL), (29.1666667, 41.6666667, 54.1666667)
    )


def test_absent_classes_are_left_out_or_count_as_zero():
    scores = _count(**EXAMPLE_1).scores()
    present, of_all = scores.mean(ALL), scores.mean(ALL, only_present=False)
    np.testing.assert_allclose(np.array(of_all) * 12, np.array(present) * 2)


def test_truth_as_prediction_scores_exactly_100():
    gt = EXAMPLE_1['gt']
    assert _count(gt, gt).scores().mean(ALL) == (100.0, 100.0, 100.0)


def test_nothing_true_or_nothing_predicted():
    boxes = EXAMPLE_1['gt']
    assert _count([], boxes).scores().mean(ALL) == (0.0, 0.0, 0.0)
    assert _count([], boxes).table[CHAIR].tolist() == [0, 0, 2, 0, 0]
    assert _count(boxes, []).table[CHAIR].tolist() == [0, 0, 0, 2, 2]
    assert _count([], []).scores().mean(ALL) == (0.0, 0.0, 0.0)
    assert PanopticCounts.zeros(5).scores().mean([]) == (0.0, 0.0, 0.0)


def test_two_empty_segments_do_not_match():
    empty = [(CHAIR, 0, 0, 0, 0, 0, 0)]
    assert _count(empty, empty).table[CHAIR].tolist() == [0, 0, 1, 1, 1]


def test_sums_do_not_lose_digits():
    one = PanopticCounts(np.full((1, 5), 0.1))
    total = sum([one] * 27_000, PanopticCounts.zeros(1))
    np.testing.assert_allclose(total.iou_sum, 2700, rtol=1e-10)


@pytest.mark.parametrize('label', [-1, 13])
def test_labels_outside_the_label_space_are_refused(label):
    with pytest.raises(ValueError, match=r'predicted segments must be in 0 \.\.\. 12'):
        _count([], [(label, 0, 1, 0, 1, 0, 1)])
