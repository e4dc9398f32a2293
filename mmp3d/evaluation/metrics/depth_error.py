"""Errors of depth maps over a dataset."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from mmp3d.evaluation.functional import DepthErrorSums, depth_errors
from mmp3d.evaluation.metrics.reading import read_field, score_table
from mmp3d.registry import METRICS


@METRICS.register_module()
class DepthError(BaseMetric):
    """AbsRel, RMSE (metres) and the share of pixels with delta < 1.25 (percent).

    Errors are taken over the valid pixels of each image, then averaged over the images
    that have any. Without a valid pixel in the whole dataset the errors are infinite
    and the share is 0: no evidence is no merit.

    Reads ``pred_depth_map.depth``, ``gt_depth_map.depth`` and, unless ``depth_range``
    is given, the range of the sample's grid. Where a sample has a ``room_map``, pixels
    of other rooms do not count.

    Args:
        depth_range: Nearest and farthest true depth in metres that count; ``None``: the
            depth range of each sample's grid.
        collect_device: Where mmengine gathers the results of all processes.
        prefix: First part of the names of the results.

    Source: Eigen et al., Depth Map Prediction from a Single Image using a Multi-Scale
    Deep Network, NIPS 2014, section 4.3.
    """

    default_prefix = 'depth'

    def __init__(
        self,
        depth_range: tuple[float, float] | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.depth_range = depth_range

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Sum up each sample; what is kept is four numbers per image."""
        for sample in data_samples:
            depth_range = self.depth_range or sample['grid'].depth_range
            predicted = read_field(sample, 'pred_depth_map', 'depth')[0]
            true = read_field(sample, 'gt_depth_map', 'depth')[0]
            if 'room_map' in sample:
                # No depth is predicted of other rooms.
                true = true * read_field(sample, 'room_map', 'mask')[0]
            self.results.append(depth_errors(predicted, true, depth_range))

    def compute_metrics(self, results: list[DepthErrorSums]) -> dict[str, float]:
        """Average over the images and log one line."""
        images = [sums for sums in results if sums.num_pixels > 0]
        metrics = {'abs_rel': np.inf, 'rmse': np.inf, 'delta_1.25': 0.0}
        if images:
            metrics = {
                'abs_rel': np.mean([s.relative / s.num_pixels for s in images]),
                'rmse': np.mean([(s.squared / s.num_pixels) ** 0.5 for s in images]),
                'delta_1.25': 100 * np.mean([s.within / s.num_pixels for s in images]),
            }
        metrics = {name: float(value) for name, value in metrics.items()}
        row = [
            f'{len(images)} of {len(results)}',
            *(f'{v:.4f}' for v in metrics.values()),
        ]
        table = score_table(('images with depth', *metrics), [row])
        MMLogger.get_current_instance().info(f'depth errors\n{table}')
        return metrics
