"""Panoptic quality: match segments by IoU, sum up, reduce. For pixels and voxels.

Source: Kirillov et al., Panoptic Segmentation, CVPR 2019, section 4; Dahnert et al.,
Panoptic 3D Scene Reconstruction From a Single RGB Image, NeurIPS 2021, section 5, for
the 3D form with its threshold of 0.25.
Differs: matching is greedy in the order of the segments, as in the released evaluation
of the 3D form. At thresholds of 0.5 and above this is the unique matching of the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from mmp3d.evaluation.functional.segment_cover import SegmentCover


@dataclass(frozen=True)
class SegmentOverlaps:
    """Everything that matching has to know of two sets of segments.

    Attributes:
        gt_labels: Class of every true segment, in matching order.
        pred_labels: Class of every predicted segment, in matching order.
        gt_areas: Cells of every true segment.
        pred_areas: Cells of every predicted segment.
        intersections: Cells that a true and a predicted segment share.
    """

    gt_labels: Int[np.ndarray, ' G']
    pred_labels: Int[np.ndarray, ' P']
    gt_areas: Int[np.ndarray, ' G']
    pred_areas: Int[np.ndarray, ' P']
    intersections: Int[np.ndarray, 'G P']

    def ious(
        self, outside_union: Int[np.ndarray, ' P'] | None = None
    ) -> Float[np.ndarray, 'G P']:
        """Intersection over union of every pair; 0 where both segments are empty.

        Args:
            outside_union: Cells of every predicted segment that do not count in the
                union, because nothing is known of them.
        """
        unions = self.gt_areas[:, None] + self.pred_areas[None, :] - self.intersections
        if outside_union is not None:
            unions = unions - outside_union[None, :]
        return self.intersections / np.maximum(unions, 1)


def overlaps(
    gt: SegmentCover,
    gt_labels: Sequence[int],
    pred: SegmentCover,
    pred_labels: Sequence[int],
) -> SegmentOverlaps:
    """Count areas and intersections of all segments in one pass over the cells."""
    return SegmentOverlaps(
        gt_labels=np.asarray(gt_labels, np.int64),
        pred_labels=np.asarray(pred_labels, np.int64),
        gt_areas=gt.areas(),
        pred_areas=pred.areas(),
        intersections=gt.intersections(pred),
    )


@dataclass(frozen=True)
class PanopticCounts:
    """Sums per class: small, and added over images and processes.

    Attributes:
        table: One row per label (void included, never averaged); columns are the sum
            of the IoU of matches, the numbers of matches, of unmatched predictions, of
            unmatched true segments, and of true segments.
    """

    table: Float[np.ndarray, 'C 5']

    @classmethod
    def zeros(cls, num_classes: int) -> PanopticCounts:
        """Nothing counted yet."""
        return cls(np.zeros((num_classes, 5), np.float64))

    def __add__(self, other: PanopticCounts) -> PanopticCounts:
        return PanopticCounts(self.table + other.table)

    @property
    def iou_sum(self) -> Float[np.ndarray, ' C']:
        """Sum of the IoU of matches."""
        return self.table[:, 0]

    @property
    def num_matched(self) -> Float[np.ndarray, ' C']:
        """Matches (true positives)."""
        return self.table[:, 1]

    @property
    def num_unmatched_pred(self) -> Float[np.ndarray, ' C']:
        """Predictions without a match (false positives)."""
        return self.table[:, 2]

    @property
    def num_unmatched_gt(self) -> Float[np.ndarray, ' C']:
        """True segments without a match (false negatives)."""
        return self.table[:, 3]

    @property
    def num_gt(self) -> Float[np.ndarray, ' C']:
        """True segments."""
        return self.table[:, 4]

    def scores(self) -> PanopticScores:
        """Reduce the sums to scores per class, in percent."""
        segments = self.num_matched + 0.5 * (
            self.num_unmatched_pred + self.num_unmatched_gt
        )
        recognition = self.num_matched / np.maximum(segments, 0.5)
        segmentation = self.iou_sum / np.maximum(self.num_matched, 1)
        return PanopticScores(
            quality=100 * recognition * segmentation,
            segmentation=100 * segmentation,
            recognition=100 * recognition,
            present=self.num_gt > 0,
        )


@dataclass(frozen=True)
class PanopticScores:
    """Scores per class in percent; 0 for a class that nobody has.

    Attributes:
        quality: PQ (PRQ): segmentation times recognition.
        segmentation: SQ (RSQ): mean IoU of the matches.
        recognition: RQ (RRQ): F1 score of the matching.
        present: Whether the class has a true segment.
    """

    quality: Float[np.ndarray, ' C']
    segmentation: Float[np.ndarray, ' C']
    recognition: Float[np.ndarray, ' C']
    present: Bool[np.ndarray, ' C']

    def mean(
        self, labels: Sequence[int], only_present: bool = True
    ) -> tuple[float, float, float]:
        """Average quality, segmentation and recognition over classes.

        Args:
            labels: The classes to average over.
            only_present: Leave out classes without a true segment, with their false
                positives, as the 3D measure does. Otherwise they count as 0.

        Returns:
            Three percentages; zeros if no class is left.
        """
        rows = [label for label in labels if self.present[label] or not only_present]
        if not rows:
            return 0.0, 0.0, 0.0
        return (
            float(self.quality[rows].mean()),
            float(self.segmentation[rows].mean()),
            float(self.recognition[rows].mean()),
        )


def count_matches(
    found: SegmentOverlaps,
    num_classes: int,
    threshold: float,
    outside_union: Int[np.ndarray, ' P'] | None = None,
    forgiven: Bool[np.ndarray, ' P'] | None = None,
) -> PanopticCounts:
    """Match greedily and count.

    Every true segment, in order, takes the first prediction of its class that is still
    free and whose IoU is greater than ``threshold``: the first, not the best.

    Args:
        found: Areas and intersections.
        num_classes: Number of rows; labels are smaller.
        threshold: IoU that a match must exceed.
        outside_union: See ``SegmentOverlaps.ious``.
        forgiven: Predictions that do not count as false when unmatched.

    Raises:
        ValueError: If a label is not in 0 ... num_classes - 1.
    """
    for side, labels in (('true', found.gt_labels), ('predicted', found.pred_labels)):
        if labels.size and not 0 <= labels.min() <= labels.max() < num_classes:
            raise ValueError(
                f'labels of the {side} segments must be in 0 ... {num_classes - 1}, '
                f'got {sorted(set(labels.tolist()))}; check the label space'
            )
    ious = found.ious(outside_union)
    same_class = found.gt_labels[:, None] == found.pred_labels[None, :]
    candidates = same_class & (ious > threshold)
    table = np.zeros((num_classes, 5), np.float64)
    free = np.ones(len(found.pred_labels), bool)
    for gt, label in enumerate(found.gt_labels):
        table[label, 4] += 1
        fitting = np.flatnonzero(candidates[gt] & free)
        if fitting.size == 0:
            table[label, 3] += 1
            continue
        free[fitting[0]] = False
        table[label, :2] += ious[gt, fitting[0]], 1
    wrong = free if forgiven is None else free & ~forgiven
    np.add.at(table[:, 2], found.pred_labels[wrong], 1)
    return PanopticCounts(table)
