"""Make a small file to share of a runner's checkpoint, with its provenance beside it.

python tools/publish_model.py IN.pth OUT.safetensors [--half] [--note key=value ...]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

import mmp3d.registry  # noqa: F401  lets torch load the run's log buffers
from mmp3d import __version__
from mmp3d.engine.checkpoint_loading import load_local_checkpoint
from mmp3d.fileio import write_json, write_safetensors


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('checkpoint', type=Path, help='.pth that a runner wrote')
    parser.add_argument('out', type=Path, help='.safetensors to write')
    parser.add_argument(
        '--half',
        action='store_true',
        help='matrices and kernels in half precision; norms and biases stay single',
    )
    parser.add_argument(
        '--note', nargs='*', default=[], help='key=value pairs for the provenance'
    )
    return parser.parse_args()


def halve(tensor: torch.Tensor) -> torch.Tensor:
    """Round matrices and kernels to half precision.

    Raises:
        ValueError: If a value does not fit.
    """
    if tensor.ndim < 2 or not tensor.is_floating_point():
        return tensor
    small = tensor.half()
    if not torch.isfinite(small).all():
        raise ValueError('a weight does not fit into half precision; leave out --half')
    return small


def main() -> None:
    """Write the weights and ``OUT.json``."""
    args = parse_args()
    checkpoint = load_local_checkpoint(str(args.checkpoint))
    if 'meta' not in checkpoint:
        raise ValueError(
            f'{args.checkpoint} holds no record of its run; expected a .pth that a '
            'runner wrote, not bare weights.'
        )
    state = checkpoint['state_dict']
    if args.half:
        state = {name: halve(tensor) for name, tensor in state.items()}
    meta = checkpoint['meta']
    config = meta['experiment_name'].rsplit('_', 2)[0]
    write_safetensors(args.out, state, {'format': 'pt', 'config': config})
    provenance = {
        'file': args.out.name,
        'sha256': hashlib.sha256(args.out.read_bytes()).hexdigest(),
        'parameters': sum(t.numel() for t in state.values()),
        'mmp3d_version': __version__,
        'torch_version': torch.__version__,
        'iterations': meta['iter'],
        'seed': meta['seed'],
        'config': config,
        **dict(pair.split('=', 1) for pair in args.note),
    }
    write_json(args.out.with_suffix('.json'), provenance)
    print(json.dumps(provenance, indent=2))


if __name__ == '__main__':
    main()
