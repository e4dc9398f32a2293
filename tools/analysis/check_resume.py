"""Does a run that was resumed equal one that never stopped? Train both, compare bits.

Examples:
    python tools/analysis/check_resume.py CONFIG --work-dir work_dirs/resume
    python tools/analysis/check_resume.py CONFIG --work-dir work_dirs/resume \\
        --iterations 40 --stop 17 --cfg-options train_dataloader.batch_size=1

One process trains all iterations and saves where the other shall begin; a second one
resumes from there. Ends with 1 and names what differs, unless losses, learning rates,
weights, buffers, the optimiser's state and the order of the data are the same.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmp3d.engine.checkpoint_loading import load_local_checkpoint

ROOT = Path(__file__).resolve().parents[2]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', type=Path, help='config file')
    parser.add_argument('--work-dir', type=Path, required=True, help='of both runs')
    parser.add_argument('--iterations', type=int, default=40, help='default: 40')
    parser.add_argument('--stop', type=int, default=17, help='resume after this many')
    parser.add_argument('--workers', type=int, default=2, help='of the data loader')
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], help='key=value overrides'
    )
    return parser.parse_args(argv)


def train(args: argparse.Namespace, name: str, resume: Path | None = None) -> dict:
    """Train in a process of its own; give the last checkpoint."""
    options = [
        f'train_cfg.max_iters={args.iterations}',
        f'train_dataloader.num_workers={args.workers}',
        f'train_dataloader.persistent_workers={args.workers > 0}',
        f'default_hooks.checkpoint.interval={args.stop}',
        'default_hooks.checkpoint.max_keep_ckpts=-1',
        *args.cfg_options,
        'val_dataloader=None',
        'val_cfg=None',
        'val_evaluator=None',
    ]
    work_dir = args.work_dir / name
    command = [sys.executable, ROOT / 'tools' / 'train.py', args.config]
    command += ['--work-dir', work_dir]
    if resume is not None:
        command += ['--resume', resume]
    subprocess.run([*command, '--cfg-options', *options], check=True)
    return load_local_checkpoint(str(work_dir / f'iter_{args.iterations}.pth'))


def contents(checkpoint: dict) -> dict[str, Tensor]:
    """Name everything in a checkpoint that two equal runs have in common."""
    history = {
        name: torch.from_numpy(buffer.data[0])
        for name, buffer in checkpoint['message_hub']['log_scalars'].items()
        if not name.endswith(('time', 'memory'))
    }
    parts = dict(
        history=history,
        weights=checkpoint['state_dict'],
        optimizer=checkpoint['optimizer'],
        order=checkpoint['meta'].get('data_order', {}),
    )
    return dict(_leaves(parts))


def _leaves(value: object, name: str = '') -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    else:
        if isinstance(value, bool | int | float | Tensor):
            yield name, torch.as_tensor(value)
        return
    for key, item in items:
        yield from _leaves(item, f'{name}.{key}' if name else str(key))


def differences(first: dict, second: dict) -> list[str]:
    """Names of what is not the same, bit for bit, in two checkpoints."""
    a, b = contents(first), contents(second)
    return [
        name
        for name in sorted(a.keys() | b.keys())
        if name not in a or name not in b or not torch.equal(a[name], b[name])
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Train twice, compare, and say what came out."""
    args = parse_args(argv)
    if not 0 < args.stop < args.iterations:
        raise ValueError(
            f'--stop must lie between 1 and --iterations - 1 = {args.iterations - 1}, '
            f'got {args.stop}'
        )
    whole = train(args, 'whole')
    start = args.work_dir / 'whole' / f'iter_{args.stop}.pth'
    resumed = train(args, 'resumed', start)
    different = differences(whole, resumed)
    parts = f'{args.iterations} = {args.stop} + resume + {args.iterations - args.stop}'
    if different:
        print(f'{parts}: {len(different)} differ: {", ".join(different[:10])}')
        return 1
    found = contents(whole)
    histories = sum(name.startswith('history.') for name in found)
    print(
        f'{parts}: equal, bit for bit: {histories} histories of '
        f'{len(found["history.train/loss"])} iterations, {len(found)} values in all'
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
