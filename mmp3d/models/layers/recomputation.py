"""Trade time for memory: recompute a part in the backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch.utils.checkpoint import checkpoint

Result = TypeVar('Result')


def run(part: Callable[..., Result], *inputs: object, recompute: bool) -> Result:
    """Call a part of a model, with or without keeping what is inside it.

    Args:
        part: A module without randomness; the state of generators is not restored.
        inputs: What it is called with.
        recompute: Forget the activations inside and compute them again in the backward
            pass. No number changes. Without effect where no gradient is wanted.
    """
    if recompute and torch.is_grad_enabled():
        return checkpoint(part, *inputs, use_reentrant=False, preserve_rng_state=False)
    return part(*inputs)
