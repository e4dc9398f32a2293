"""Draw the panels of validation and test samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmp3d.fileio import read_image, write_image
from mmp3d.registry import HOOKS
from mmp3d.structures import PanopticReconstructionSample


@HOOKS.register_module()
class ReconstructionVisualizationHook(Hook):
    """Write one panel per sample: image, depth, 2D panoptic, 3D scene.

    Panels go to ``test_out_dir``, those of every process, and to the backends of the
    runner's visualizer, which are the first process's.

    Args:
        draw: Whether to draw at all.
        interval: Draw every n-th batch.
        test_out_dir: Folder for the panels of ``test.py --show-dir``; ``None`` = only
            the visualizer's backends.
    """

    def __init__(
        self, draw: bool = False, interval: int = 50, test_out_dir: str | None = None
    ) -> None:
        self.draw = draw
        self.interval = interval
        self.test_out_dir = test_out_dir

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict,
        outputs: Sequence[PanopticReconstructionSample],
    ) -> None:
        """Draw the first sample of every n-th batch."""
        if self.draw and batch_idx % self.interval == 0 and is_main_process():
            self._draw(runner, outputs[:1], 'val', runner.iter)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict,
        outputs: Sequence[PanopticReconstructionSample],
    ) -> None:
        """Draw all samples of the batch."""
        if self.draw and (self.test_out_dir or is_main_process()):
            self._draw(runner, outputs, 'test', batch_idx)

    def _draw(
        self,
        runner: Runner,
        outputs: Sequence[PanopticReconstructionSample],
        split: str,
        step: int,
    ) -> None:
        for sample in outputs:
            image = read_image(sample.img_path)
            panel = runner.visualizer.add_datasample(
                f'{split}/{sample.sample_id}', image, sample, step=step
            )
            if self.test_out_dir and split == 'test':
                name = f'{sample.sample_id}.png'
                write_image(Path(self.test_out_dir) / name, panel)
