"""Pad, scale and batch images with their cameras."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from mmp3d.registry import MODELS
from mmp3d.structures import CameraBatch, FrustumGrid, PanopticReconstructionSample
from mmp3d.utils import check_positive


@MODELS.register_module()
class ReconstructionDataPreprocessor(BaseDataPreprocessor):
    """Make a ``CameraBatch`` of packed samples.

    Images are padded at the right and at the bottom to a common size that is a multiple
    of ``pad_size_divisor`` and at least the ``pad_shape`` of every sample that has one,
    then scaled from 0..255 to 0..1. Padding leaves the intrinsics unchanged.

    Args:
        pad_size_divisor: Multiple that the padded height and width must be.
        pad_value: Grey value of the padding on the scale 0..255. The published 3D-Front
            weights were trained with 128, the Matterport3D weights with 0.
        non_blocking: Copy to the device without waiting.
    """

    def __init__(
        self,
        pad_size_divisor: int = 32,
        pad_value: float = 128.0,
        non_blocking: bool = False,
    ) -> None:
        super().__init__(non_blocking=non_blocking)
        check_positive('pad_size_divisor', pad_size_divisor)
        self.pad_size_divisor = pad_size_divisor
        self.pad_value = pad_value

    def forward(self, data: dict, training: bool = False) -> dict:
        """Batch what the data loader collated.

        Args:
            data: ``inputs`` (lists under ``img``, ``K`` and, where the pipeline loads
                them, ``frustum_mask``, ``room_mask``) and ``data_samples``.
            training: Not used; the base class passes it.

        Returns:
            ``inputs`` (``CameraBatch``) and ``data_samples``.

        Raises:
            ValueError: If the samples of one batch have different grids.
        """
        data = self.cast_data(data)
        inputs, samples = data['inputs'], data['data_samples']
        return dict(
            inputs=CameraBatch(
                images=self._batch_images(inputs['img'], samples)[:, None],
                K=torch.stack([K.double() for K in inputs['K']])[:, None],
                image_sizes=tuple(tuple(i.shape[-2:]) for i in inputs['img']),
                grid=_common_grid(samples),
                frustum_mask=_stack(inputs, 'frustum_mask'),
                room_mask=_stack(inputs, 'room_mask'),
            ),
            data_samples=samples,
        )

    def _batch_images(
        self,
        images: Sequence[UInt8[Tensor, '3 _ _']],
        samples: Sequence[PanopticReconstructionSample],
    ) -> Float[Tensor, 'B 3 H W']:
        divisor = self.pad_size_divisor
        sizes = [image.shape[-2:] for image in images]
        sizes += [sample.pad_shape for sample in samples if 'pad_shape' in sample]
        height, width = (max(side) for side in zip(*sizes, strict=True))
        height += -height % divisor
        width += -width % divisor
        padded = [
            F.pad(
                image.float(),
                (0, width - image.shape[-1], 0, height - image.shape[-2]),
                value=self.pad_value,
            )
            for image in images
        ]
        return torch.stack(padded) / 255.0


def _stack(inputs: dict, name: str) -> Tensor | None:
    return torch.stack(list(inputs[name])) if name in inputs else None


def _common_grid(samples: Sequence[PanopticReconstructionSample]) -> FrustumGrid:
    grid = samples[0].grid
    for sample in samples:
        if sample.grid != grid:
            raise ValueError(
                f'sample {sample.sample_id!r} has the grid {sample.grid}, sample '
                f'{samples[0].sample_id!r} of the same batch {grid}. Do not mix '
                'datasets with different grids in one data loader.'
            )
    return grid
