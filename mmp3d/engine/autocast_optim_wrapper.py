"""Mixed precision without loss scaling, on a GPU or a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmp3d.registry import OPTIM_WRAPPERS
from mmp3d.utils import check_choice


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Run the forward pass in bfloat16 where that is safe; weights stay float32.

    bfloat16 has the range of float32, so gradients need no scaling. The host's
    ``AmpOptimWrapper`` refuses machines without a GPU.

    Args:
        optimizer: What steps.
        accumulative_counts: Iterations per step.
        clip_grad: Arguments of the clipping of gradients; ``None``: none.
        dtype: 'bfloat16', or 'float32' to switch it off.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        accumulative_counts: int = 1,
        clip_grad: dict | None = None,
        dtype: str = 'bfloat16',
    ) -> None:
        super().__init__(optimizer, accumulative_counts, clip_grad)
        check_choice('dtype', dtype, ('bfloat16', 'float32'))
        self.dtype = dtype

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Cast in the forward pass of a model, on the device where it is."""
        device = next(model.parameters()).device.type
        enabled = self.dtype == 'bfloat16'
        with (
            super().optim_context(model),
            torch.autocast(device, torch.bfloat16, enabled=enabled),
        ):
            yield
