"""The visualizer of runners."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from mmengine.visualization import Visualizer

from mmp3d.registry import VISUALIZERS
from mmp3d.structures import PanopticReconstructionSample
from mmp3d.visualization.panel import sample_panel


@VISUALIZERS.register_module()
class ReconstructionVisualizer(Visualizer):
    """Draw panels and hand them to the backends (files, TensorBoard, WandB).

    Constructed as mmengine's ``Visualizer``.
    """

    def add_datasample(
        self,
        name: str,
        image: UInt8[np.ndarray, 'H W 3'],
        data_sample: PanopticReconstructionSample,
        draw_gt: bool = False,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        step: int = 0,
    ) -> UInt8[np.ndarray, 'R C 3']:
        """Draw a sample, give the picture to all backends, and return it.

        Of several processes each gets its picture, and the first one's backends do.

        Args:
            name: Name under which the backends keep it.
            image: RGB of the sample.
            data_sample: Ground truth, predictions, or both.
            draw_gt: Draw the ground truth, above the predictions.
            draw_pred: Draw the predictions.
            show: Open a window; needs a display.
            wait_time: Seconds that the window stays; 0 = until a key is pressed.
            step: Iteration of the run.

        Raises:
            ValueError: If neither part is to be drawn.
        """
        parts = [w for w, wanted in (('gt', draw_gt), ('pred', draw_pred)) if wanted]
        if not parts:
            raise ValueError(f'nothing to draw of {name!r}: set draw_gt or draw_pred')
        panel = np.vstack([sample_panel(data_sample, image, which=w) for w in parts])
        if show:
            self.show(panel, win_name=name, wait_time=wait_time)
        # The backend of files silently writes nothing where the name has a folder.
        self.add_image(name.replace('/', '_'), panel, step)
        return panel
