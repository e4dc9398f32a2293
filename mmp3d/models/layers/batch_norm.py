"""Batch norm over all processes, for maps that may shrink to a single cell."""

from __future__ import annotations

import torch
from jaxtyping import Float
from mmengine.dist import get_world_size
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn import functional as F


class BatchNorm2d(nn.BatchNorm2d):
    """Batch norm that accepts one value per channel, and sees the global batch.

    A 1x1 map of a single image has no variance, and torch refuses it. Here it is
    normalised with the running statistics, which it leaves as they are. Several
    processes share their statistics while training, on any device, so that they equal
    one process with their global batch.

    Differs: the published training keeps the statistics of each process.
    """

    def forward(self, features: Float[Tensor, 'B C h w']) -> Float[Tensor, 'B C h w']:
        """Normalise every channel over images and cells."""
        if not self.training:
            return super().forward(features)
        if get_world_size() > 1:
            return self._over_processes(features)
        if features.numel() == features.shape[1]:
            return self._by_running_statistics(features)
        return super().forward(features)

    def _by_running_statistics(
        self, features: Float[Tensor, 'B C h w']
    ) -> Float[Tensor, 'B C h w']:
        return F.batch_norm(
            features,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=False,
            eps=self.eps,
        )

    def _over_processes(
        self, features: Float[Tensor, 'B C h w']
    ) -> Float[Tensor, 'B C h w']:
        values = features.float()
        count = all_reduce(values.new_tensor(values.numel() / values.shape[1]))
        if count == 1:
            return self._by_running_statistics(features)
        mean = all_reduce(values.sum(dim=(0, 2, 3))) / count
        centred = values - mean[:, None, None]
        variance = all_reduce(centred.square().sum(dim=(0, 2, 3))) / count
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
            unbiased = variance * count / (count - 1)
            self.running_var.lerp_(unbiased.to(self.running_var), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        normal = centred * scale[:, None, None] + self.bias[:, None, None]
        return normal.to(features.dtype)
