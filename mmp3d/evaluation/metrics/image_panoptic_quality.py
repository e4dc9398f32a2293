"""Panoptic quality of images, plain and gated by depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Integer, Shaped
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from mmp3d.evaluation.functional import (
    PanopticCounts,
    PanopticScores,
    SegmentCover,
    count_matches,
    image_ground_truth,
    overlaps,
)
from mmp3d.evaluation.metrics.reading import read_field, read_label_space, score_table
from mmp3d.registry import METRICS
from mmp3d.structures import LabelSpace, PanopticSegmentation
from mmp3d.utils import check_choice


@METRICS.register_module()
class ImagePanopticQuality(BaseMetric):
    """Panoptic quality (PQ) and depth-gated panoptic quality (DPQ) of images.

    DPQ at a threshold t sets the predicted pixels to void whose depth is wrong by more
    than t of the true depth. Pixels of unknown class are no part of the union, and a
    prediction of which more than half lies on them is not counted as false.

    ``PQ`` and ``DPQ_t`` average over the classes that the ground truth has,
    ``..._parity`` over all classes, absent ones counting 0, as NVIDIA's code does (on
    3D-Front, which has no ceiling, 11/12 of the former). ``DPQ`` averages over the
    thresholds. Without ground truth all scores are 0.

    Reads ``pred_panoptic_seg``, ``gt_panoptic_seg``, and for DPQ ``pred_depth_map`` and
    ``gt_depth_map``. Predictions of another size are resized to the ground truth.

    Args:
        depth_thresholds: Relative depth errors at which to gate; empty: plain PQ only.
        matching_threshold: IoU that a match must exceed.
        void_in_union: 'none': void pixels never count in the union. 'numbered': those
            count whose instance id is not 0, as NVIDIA's code has it on Matterport3D,
            where renumbering gives void an id.
        collect_device: Where mmengine gathers the results of all processes.
        prefix: First part of the names of the results.

    Source: Kirillov et al., Panoptic Segmentation, CVPR 2019; Qiao et al., ViP-DeepLab,
    CVPR 2021, section 3.3, for the depth gate.
    """

    default_prefix = 'image'

    def __init__(
        self,
        depth_thresholds: Sequence[float] = (0.5, 0.25, 0.1),
        matching_threshold: float = 0.5,
        void_in_union: str = 'none',
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        check_choice('void_in_union', void_in_union, ('none', 'numbered'))
        self.depth_thresholds = tuple(depth_thresholds)
        self.matching_threshold = matching_threshold
        self.void_in_union = void_in_union
        self._label_space: LabelSpace | None = None

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Count each sample; what is kept is one small table per gate and image."""
        for sample in data_samples:
            self._label_space = read_label_space(sample, self._label_space)
            self.results.append(self._count(sample, self._label_space))

    def _count(
        self, sample: Mapping, label_space: LabelSpace
    ) -> tuple[PanopticCounts, ...]:
        semantic = read_field(sample, 'gt_panoptic_seg', 'semantic')[0]
        instances = read_field(sample, 'gt_panoptic_seg', 'instance_ids')[0]
        segmentation: PanopticSegmentation = sample['pred_panoptic_seg']
        pred_ids = _resize_nearest(segmentation.ids.cpu().numpy(), semantic.shape)
        gates = [np.ones(semantic.shape, bool)]
        if self.depth_thresholds:
            error = _relative_depth_error(sample, semantic.shape)
            gates += [error <= threshold for threshold in self.depth_thresholds]
        return tuple(
            self._count_gated(
                np.where(gate, pred_ids, 0),
                segmentation,
                semantic,
                instances,
                label_space.num_classes,
            )
            for gate in gates
        )

    def _count_gated(
        self,
        pred_ids: Integer[np.ndarray, 'H W'],
        segmentation: PanopticSegmentation,
        semantic: Integer[np.ndarray, 'H W'],
        instances: Integer[np.ndarray, 'H W'],
        num_classes: int,
    ) -> PanopticCounts:
        gt_ids, gt_labels = image_ground_truth(semantic, instances)
        segments = [s for s in segmentation.segments if (pred_ids == s.id).any()]
        pred = SegmentCover.from_ids(pred_ids, [s.id for s in segments])
        gt = SegmentCover.from_ids(gt_ids, range(1, len(gt_labels) + 1))
        found = overlaps(gt, gt_labels, pred, [s.label for s in segments])
        void: Bool[np.ndarray, 'H W'] = semantic == 0
        on_void = pred.areas_within(void)
        outside_union = on_void
        if self.void_in_union == 'numbered':
            outside_union = pred.areas_within(void & (instances == 0))
        return count_matches(
            found,
            num_classes,
            self.matching_threshold,
            outside_union,
            forgiven=on_void > 0.5 * found.pred_areas,
        )

    def compute_metrics(
        self, results: list[tuple[PanopticCounts, ...]]
    ) -> dict[str, float]:
        """Add up all images and log one line per class."""
        if self._label_space is None:
            return {}
        space = self._label_space
        names = ['PQ', *(f'DPQ_{threshold:g}' for threshold in self.depth_thresholds)]
        scores = {
            name: sum(counts, PanopticCounts.zeros(space.num_classes)).scores()
            for name, counts in zip(names, zip(*results, strict=True), strict=True)
        }
        metrics = {}
        for name in names:
            metrics |= _means(name, scores[name], space)
        if self.depth_thresholds:
            for suffix in [s + p for s in _groups(space) for p in ('', '_parity')]:
                gated = [metrics[name + suffix] for name in names[1:]]
                metrics['DPQ' + suffix] = float(np.mean(gated))
        rows = [
            (group, *(metrics[name + suffix] for name in names))
            for group, suffix in (
                ('all', ''),
                ('things', '_things'),
                ('stuff', '_stuff'),
            )
        ]
        for label in range(1, space.num_classes):
            if scores['PQ'].present[label]:
                metrics[f'PQ_{space.classes[label]}'] = scores['PQ'].mean([label])[0]
                values = (scores[name].mean([label])[0] for name in names)
                rows.append((space.classes[label], *values))
        MMLogger.get_current_instance().info(
            f'panoptic quality of {len(results)} images\n'
            + score_table(('class', *names), rows)
        )
        return metrics


def _groups(space: LabelSpace) -> dict[str, Sequence[int]]:
    """Suffix of a result -> the classes that it averages over."""
    return {
        '': range(1, space.num_classes),
        '_things': space.thing_labels,
        '_stuff': space.stuff_labels,
    }


def _means(name: str, scores: PanopticScores, space: LabelSpace) -> dict[str, float]:
    means = {}
    for suffix, labels in _groups(space).items():
        means[name + suffix] = scores.mean(labels)[0]
        means[f'{name}{suffix}_parity'] = scores.mean(labels, only_present=False)[0]
    _, means[f'{name}_SQ'], means[f'{name}_RQ'] = scores.mean(
        range(1, len(space.classes))
    )
    return means


def _relative_depth_error(
    sample: Mapping, size: tuple[int, int]
) -> Float[np.ndarray, 'H W']:
    """|d - d_gt| / d_gt, 0 where the true depth is unknown; in steps of 1/256 m.

    Depths are compared as whole 256ths of a metre, the unit of the files, so that the
    published numbers are met exactly.
    """
    true, ours = (
        _resize_nearest((read_field(sample, element, 'depth')[0] * 256), size).astype(
            np.int32
        )
        for element in ('gt_depth_map', 'pred_depth_map')
    )
    return np.where(true > 0, np.abs(ours - true) / np.maximum(true, 1), 0.0)


def _resize_nearest(
    array: Shaped[np.ndarray, 'h w'], size: tuple[int, int]
) -> Shaped[np.ndarray, 'H W']:
    """Pixel i of the result is pixel floor(i * old / new)."""
    rows, columns = (
        np.arange(new) * old // new for old, new in zip(array.shape, size, strict=True)
    )
    return array[rows[:, None], columns]
