"""Walk a dataset and list every file that is missing, broken or out of range.

Examples:
    python tools/analysis/check_data.py data/synthrooms --workers 2
    python tools/analysis/check_data.py configs/_base_/datasets/front3d_3d.py

Given a folder, all files of 3D-Front's layout are checked; given a config, the files
that its pipelines load. Ends with 1 if a file is bad, with 2 if there is nothing to
check.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmengine import Config
from torch.utils.data import DataLoader
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmp3d.datasets import FileChecks, Front3DDataset
from mmp3d.fileio import CorruptFileError, check_label_map, read_index, read_npz
from mmp3d.registry import DATASETS

SPLITS = ('train', 'val', 'test')
_ALL_FILES = (
    {'type': 'LoadReconstructionImage'},
    {'type': 'LoadDepthMap'},
    {'type': 'LoadPanopticMaps'},
    {'type': 'LoadVolumes'},
    {'type': 'LoadFrustumMask'},
)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('source', type=Path, help='folder of a dataset, or a config')
    parser.add_argument(
        '--splits', nargs='+', choices=SPLITS, default=SPLITS, help='default: all'
    )
    parser.add_argument('--workers', type=int, default=0, help='additional processes')
    return parser.parse_args(argv)


def configs_of_folder(root: Path, splits: Sequence[str]) -> list[dict]:
    """Describe the splits that a folder has, with its own grid and frustum mask."""
    indices = [f'meta/{split}.json' for split in splits]
    present = [index for index in indices if (root / index).is_file()]
    # Without any index the dataset itself says what is expected.
    indices = present or indices[:1]
    mask = 'meta/frustum_mask.npz'
    common = {
        'type': 'Front3DDataset',
        'data_root': str(root),
        'grid': _grid_of_first_volume(root, present),
        'frustum_mask_file': mask if (root / mask).is_file() else None,
        'pipeline': _ALL_FILES,
    }
    return [{**common, 'ann_file': index} for index in indices]


def _grid_of_first_volume(root: Path, indices: Sequence[str]) -> dict:
    for index in indices:
        dataset = Front3DDataset(str(root), index, lazy_init=True)
        try:
            records = read_index(root / index)
        except CorruptFileError:
            continue  # reported later, as are bad volumes
        for record in records:
            path = dataset.sample_files(record).geometry
            try:
                return {'dims': read_npz(path, 'data', ndim=3).shape}
            except (CorruptFileError, FileNotFoundError):
                continue
    return {}


def configs_of_file(path: Path, splits: Sequence[str]) -> list[dict]:
    """Take the datasets of a config's data loaders."""
    config = Config.fromfile(path)
    names = [f'{split}_dataloader' for split in splits]
    return [config[name]['dataset'] for name in names if name in config]


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
