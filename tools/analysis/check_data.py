"""Walk a dataset and list every file that is missing, broken or out of range.

Examples:
    python tools/analysis/check_data.py data/synthrooms --workers 2
    python tools/analysis/check_data.py configs/_base_/datasets/front3d_3d.py

Given a folder, all files of 3D-Front's or Matterport3D's layout are checked; given a
config, the files that its pipelines load. Ends with 1 if a file is bad, with 2 if there
is nothing to check.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from torch.utils.data import DataLoader
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmp3d.datasets import FileChecks
from mmp3d.datasets.folders import SPLITS, configs_of_file, configs_of_folder
from mmp3d.fileio import CorruptFileError, check_label_map
from mmp3d.registry import DATASETS


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('source', type=Path, help='folder of a dataset, or a config')
    parser.add_argument(
        '--splits', nargs='+', choices=SPLITS, default=SPLITS, help='default: all'
    )
    parser.add_argument('--workers', type=int, default=0, help='additional processes')
    return parser.parse_args(argv)


def problems_of(config: dict, workers: int) -> Iterator[str]:
    """Check label map, index and samples of one split, with a progress bar."""
    dataset = DATASETS.build({**config, 'pipeline': [], 'lazy_init': True})
    label_map = Path(config['data_root']) / 'meta' / 'colormap.json'
    try:
        if label_map.is_file():
            check_label_map(label_map, dataset.label_space)
        dataset.full_init()
    except CorruptFileError as error:
        yield str(error)
        return
    checks = FileChecks(dataset, config['pipeline'])
    loader = DataLoader(checks, batch_size=None, num_workers=workers)
    for problems in tqdm(loader, config['ann_file'], unit='sample', smoothing=0.05):
        yield from problems


def main(argv: Sequence[str] | None = None) -> int:
    """Check, print each problem once, and sum up."""
    args = parse_args(argv)
    is_config = args.source.suffix == '.py'
    seen: set[str] = set()
    try:
        find = configs_of_file if is_config else configs_of_folder
        configs = find(args.source, args.splits)
        for config in configs:
            for problem in problems_of(config, args.workers):
                if problem not in seen:
                    tqdm.write(problem, file=sys.stdout)
                seen.add(problem)
    except FileNotFoundError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    if not configs:
        print(f'error: {args.source} has no data loader to check', file=sys.stderr)
        return 2
    print(f'{args.source}: ' + (f'{len(seen)} bad files' if seen else 'all files good'))
    return 1 if seen else 0


if __name__ == '__main__':
    sys.exit(main())
