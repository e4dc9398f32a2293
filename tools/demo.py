"""The main job on the embedded default: rooms, both stages, metrics, pictures.

Generates a small SynthRooms set, trains both tiny stages from scratch for a few hundred
iterations, tests untrained, briefly trained and shipped weights side by side, and
reconstructs unseen rooms with the shipped weights. Run by ``make demo``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs' / 'nvpanoptix3d'
STAGE1 = CONFIGS / 'nvpanoptix3d_tiny_stage1_synthrooms.py'
STAGE2 = CONFIGS / 'nvpanoptix3d_tiny_stage2_synthrooms.py'
SHIPPED = ROOT / 'demo' / 'nvpanoptix3d_tiny_synthrooms.safetensors'

COLUMNS = (
    ('PQ', 'image/PQ'),
    ('AbsRel', 'depth/abs_rel'),
    ('delta<1.25', 'depth/delta_1.25'),
    ('PRQ', 'reconstruction/PRQ'),
    ('RSQ', 'reconstruction/RSQ'),
    ('RRQ', 'reconstruction/RRQ'),
)


@dataclass(frozen=True)
class Sizes:
    """How much the demo does.

    Attributes:
        train: Training images.
        test: Test images, unseen.
        iters: Iterations of stage 1 and of stage 2.
        images: Rooms that are reconstructed at the end.
    """

    train: int
    test: int
    iters: tuple[int, int]
    images: int


FULL = Sizes(train=100, test=16, iters=(400, 300), images=4)
QUICK = Sizes(train=4, test=2, iters=(2, 2), images=1)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=ROOT / 'work_dirs' / 'demo')
    parser.add_argument('--data', type=Path, default=ROOT / 'data' / 'synthrooms_demo')
    parser.add_argument('--workers', type=int, default=2, help='processes for data')
    parser.add_argument(
        '--quick', action='store_true', help='smallest sizes, to test the demo itself'
    )
    return parser.parse_args()


class Steps:
    """Say which step runs, and how long the rest will take."""

    def __init__(self, minutes: dict[str, float]) -> None:
        self.minutes = dict(minutes)
        self.number = 0
        self.start = time.time()

    def begin(self, name: str) -> None:
        """Announce the next step."""
        self.number += 1
        names = list(self.minutes)
        left = sum(self.minutes[n] for n in names[names.index(name) :])
        spent = (time.time() - self.start) / 60
        print(
            f'\n== {self.number}/{len(names)} {name}  '
            f'({spent:.1f} min so far, about {left:.0f} min to go)',
            flush=True,
        )


def run(*command: object) -> None:
    """Run a tool of this repository; stop where it fails."""
    words = [sys.executable, *map(str, command)]
    print('$ python ' + ' '.join(words[1:]).replace(f'{ROOT}/', ''), flush=True)
    done = subprocess.run(words, cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(f'{words[1]} failed with exit code {done.returncode}')


def train(
    config: Path, work_dir: Path, data: Path, iters: int, batch_size: int, *more: str
) -> Path:
    """Train for a few iterations; gives the checkpoint."""
    warmup = max(1, iters // 10)
    run(
        'tools/train.py',
        config,
        '--work-dir',
        work_dir,
        '--cfg-options',
        f'train_cfg.max_iters={iters}',
        f'train_cfg.val_interval={iters + 1}',
        f'train_dataloader.batch_size={batch_size}',
        f'train_dataloader.dataset.data_root={data}',
        f'val_dataloader.dataset.data_root={data}',
        f'test_dataloader.dataset.data_root={data}',
        f'param_scheduler.0.end={warmup}',
        f'param_scheduler.1.begin={warmup}',
        f'param_scheduler.1.end={iters}',
        f'default_hooks.checkpoint.interval={iters}',
        'default_hooks.logger.interval=20',
        *more,
    )
    return work_dir / f'iter_{iters}.pth'


def test(name: str, checkpoint: Path, out: Path, data: Path) -> dict[str, float]:
    """Test weights on the unseen rooms; gives the metrics by name."""
    work_dir = out / f'test_{name.replace(" ", "_")}'
    run(
        'tools/test.py',
        STAGE2,
        checkpoint,
        '--work-dir',
        work_dir,
        '--cfg-options',
        f'test_dataloader.dataset.data_root={data}',
        'default_hooks.logger.interval=1000',
    )
    newest = max(work_dir.glob('*/*.json'), key=lambda path: path.stat().st_mtime)
    return json.loads(newest.read_text().splitlines()[-1])


def table(rows: dict[str, dict[str, float]]) -> str:
    """A Markdown table of the metrics."""
    lines = [
        '| weights | ' + ' | '.join(title for title, _ in COLUMNS) + ' |',
        '|---|' + '---:|' * len(COLUMNS),
    ]
    for name, metrics in rows.items():
        values = (
            f'{metrics[key]:.{3 if key == "depth/abs_rel" else 1}f}'
            for _, key in COLUMNS
        )
        lines.append(f'| {name} | ' + ' | '.join(values) + ' |')
    return '\n'.join(lines)


def write_untrained(config: Path, path: Path) -> Path:
    """Write the weights a model starts from."""
    sys.path.insert(0, str(ROOT))
    from mmengine.config import Config
    from mmengine.runner import set_random_seed

    from mmp3d.fileio import write_safetensors

    cfg = Config.fromfile(config)
    from mmp3d.registry import MODELS

    set_random_seed(0)
    write_safetensors(path, MODELS.build(cfg.model).state_dict(), {'format': 'pt'})
    return path


def main() -> None:
    """Run all steps."""
    args = parse_args()
    sizes = QUICK if args.quick else FULL
    out, data = args.out.resolve(), args.data.resolve()
    out.mkdir(parents=True, exist_ok=True)
    steps = Steps(
        {
            'generate rooms': 1.5,
            'train stage 1': 3.5,
            'train stage 2': 3.5,
            'test': 1.0,
            'reconstruct unseen rooms': 0.2,
        }
    )

    steps.begin('generate rooms')
    run(
        'tools/dataset_converters/make_synthrooms.py',
        *('--out', data, '--train', sizes.train, '--val', 1, '--test', sizes.test),
        *('--seed', 7, '--grid', 64, '--workers', args.workers),
    )

    steps.begin('train stage 1')
    first = train(STAGE1, out / 'stage1', data, sizes.iters[0], 2)

    steps.begin('train stage 2')
    load = f'load_from={first}'
    second = train(STAGE2, out / 'stage2', data, sizes.iters[1], 1, load)

    steps.begin('test')
    untrained = write_untrained(STAGE2, out / 'untrained.safetensors')
    weights = {
        'untrained': untrained,
        f'{sizes.iters[0]} + {sizes.iters[1]} iterations': second,
        'shipped': SHIPPED,
    }
    rows = {name: test(name, path, out, data) for name, path in weights.items()}
    result = f'{sizes.test} unseen rooms:\n\n{table(rows)}\n'
    (out / 'table.md').write_text(result)

    steps.begin('reconstruct unseen rooms')
    rooms = sorted((data / 'data').glob('synth-test-*/rgb_*.png'))[: sizes.images]
    run('tools/infer.py', STAGE2, SHIPPED, *rooms, '--out', out / 'rooms')

    print(f'\n{result}')
    print('Panels (open them): ' + str(out / 'rooms' / '*' / 'panel.png'))
    print('Meshes (any GLB viewer): ' + str(out / 'rooms' / '*' / 'mesh.glb'))
    print(f'Table: {out / "table.md"}')


if __name__ == '__main__':
    main()
