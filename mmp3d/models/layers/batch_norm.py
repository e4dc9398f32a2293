"""Batch norm for maps that may shrink to a single cell."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class BatchNorm2d(nn.BatchNorm2d):
    """Batch norm that accepts one value per channel while training.

    A 1x1 map of a single image has no variance, and torch refuses it. Here it is
    normalised with the running statistics, which it leaves as they are.
    """

    def forward(self, features: Float[Tensor, 'B C h w']) -> Float[Tensor, 'B C h w']:
        """Normalise every channel over images and cells."""
        if self.training and features.numel() == features.shape[1]:
            return F.batch_norm(
                features,
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                training=False,
                eps=self.eps,
            )
        return super().forward(features)
