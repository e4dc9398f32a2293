"""How runners read a checkpoint: safetensors too, and never an arbitrary pickle."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import torch
from mmengine.runner.checkpoint import CheckpointLoader

from mmp3d.fileio import read_checkpoint


def load_local_checkpoint(filename: str, map_location: str | None = None) -> dict:
    """Read a checkpoint of a runner, or plain weights.

    Args:
        filename: A ``.pth`` that a runner wrote, or a ``.safetensors`` file.
        map_location: Where to put the tensors; ``None`` = main memory.

    Returns:
        A dict with ``state_dict`` and, for a runner's file, what ``--resume`` needs.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged or would run code when it is loaded.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f'no checkpoint at {path}. Train one (tools/train.py), or give the path of '
            'the shipped demo weights: demo/*.safetensors.'
        )
    if path.suffix == '.safetensors':
        return dict(state_dict=read_checkpoint(path))
    try:
        return torch.load(path, map_location=map_location or 'cpu', weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(
            f'{path} cannot be loaded safely: {_reason(error)}. Expected weights '
            'written by a runner of this project or a .safetensors file. For '
            'published weights run '
            'projects/NvPanoptix3D/tools/convert_checkpoint.py first; files that need '
            'code to be run are refused.'
        ) from error


def _reason(error: Exception) -> str:
    foreign = re.search(r'GLOBAL (\S+)', str(error))
    if foreign:
        return f'it would run foreign code ({foreign.group(1)})'
    return str(error).splitlines()[0] if str(error) else 'it ends too early'


CheckpointLoader.register_scheme(prefixes='', loader=load_local_checkpoint, force=True)
