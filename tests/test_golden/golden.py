"""Read the recorded fixtures: arrays of the reference implementation."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

_DEFAULT = Path(__file__).resolve().parents[3] / 'shared' / 'golden'
FOLDER = Path(os.environ.get('MMP3D_GOLDEN', _DEFAULT))


@dataclass(frozen=True)
class Golden:
    """One fixture file: its meta data and its arrays, by name."""

    meta: dict
    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    weights: dict[str, torch.Tensor]

    def tensor(self, name: str) -> torch.Tensor:
        """An input as a tensor."""
        return torch.from_numpy(self.inputs[name])


def golden_files(pattern: str) -> list:
    """Parameters for ``pytest.mark.parametrize('path', ...)``: every file that fits.

    Where the folder or the pattern has no file, one parameter that is skipped with the
    reason printed.
    """
    files = sorted(FOLDER.glob(pattern))
    if files:
        return [pytest.param(path, id=path.stem) for path in files]
    reason = (
        f'no {pattern} in {FOLDER}; set MMP3D_GOLDEN to the folder of recorded fixtures'
    )
    return [pytest.param(None, id=pattern, marks=pytest.mark.skip(reason=reason))]


def load(path: Path) -> Golden:
    """Read one fixture file."""
    groups: dict[str, dict] = {'in': {}, 'out': {}, 'weight': {}}
    with np.load(path) as arrays:
        meta = json.loads(str(arrays['meta'])) if 'meta' in arrays else {}
        for key in arrays.files:
            group, _, name = key.partition('/')
            if group in groups:
                groups[group][name] = arrays[key]
    weights = {k: torch.from_numpy(v) for k, v in groups['weight'].items()}
    return Golden(meta, groups['in'], groups['out'], weights)
