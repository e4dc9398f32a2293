"""Compute in the precision of the numbers, also inside mixed precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def without_autocast(device: torch.device) -> AbstractContextManager:
    """Switch autocast off for what is computed on a device.

    Where losses and matchings are computed: in 8 bits of precision a matching of nearly
    equal costs is decided by rounding.
    """
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()
