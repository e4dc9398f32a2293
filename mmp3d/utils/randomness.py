"""Random numbers that depend on named numbers only, not on what was drawn before."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive_seed(*numbers: int) -> int:
    """Mix numbers of 0 or more to a seed of 32 bits; neighbours get unlike seeds."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def seed_generators(seed: int) -> None:
    """Seed the global generators of Python, numpy and torch.

    Args:
        seed: 0 ... 2^32 - 1.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of the CPU; afterwards they are as they were.

    Args:
        seed: 0 ... 2^32 - 1.
    """
    state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(state[0])
        np.random.set_state(state[1])
        torch.set_rng_state(state[2])
