"""Make sparse copies of a dataset's volumes, which load several times as fast.

Examples:
    python tools/dataset_converters/cache_volumes.py data/front3d --workers 8
    python tools/dataset_converters/cache_volumes.py CONFIG --cache-dir /fast/front3d

To use them, name the folder in the pipeline: ``LoadVolumes(cache_dir=...)``. Copies
that are good are kept; outdated and damaged ones are made again. Ends with 1 if a
file could not be copied, with 2 if there is nothing to copy.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmp3d.datasets.folders import SPLITS, configs_of_file, configs_of_folder
from mmp3d.fileio import CorruptFileError, load_cached
from mmp3d.registry import DATASETS

_VOLUMES = ('geometry', 'segmentation', 'weighting')


@dataclass(frozen=True)
class Job:
    """One file to copy.

    Attributes:
        source: The npz file.
        cache_dir: Folder of the copies.
        verify: Compare good copies by SHA-256, too.
    """

    source: Path
    cache_dir: Path
    verify: bool


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('source', type=Path, help='folder of a dataset, or a config')
    parser.add_argument(
        '--cache-dir', type=Path, help='default: the folder cache in the dataset'
    )
    parser.add_argument(
        '--splits', nargs='+', choices=SPLITS, default=SPLITS, help='default: all'
    )
    parser.add_argument('--workers', type=int, default=1, help='processes')
    parser.add_argument(
        '--verify', action='store_true', help='compare existing copies by SHA-256'
    )
    return parser.parse_args(argv)


def jobs_of(configs: Sequence[dict], args: argparse.Namespace) -> list[Job]:
    """List the volume files of some splits, each once."""
    jobs: dict[Path, Job] = {}
    for config in configs:
        dataset = DATASETS.build({**config, 'pipeline': [], 'lazy_init': True})
        cache_dir = args.cache_dir or Path(config['data_root']) / 'cache'
        for entry in dataset.load_data_list():
            files = dataset.sample_files(entry['record']).named()
            for name in _VOLUMES:
                job = Job(files[name], cache_dir, args.verify)
                jobs.setdefault(job.source, job)
    return list(jobs.values())


def copy(job: Job) -> tuple[str, str]:
    """Copy one file; gives what was done and, if need be, why."""
    try:
        _, status = load_cached(job.source, job.cache_dir, job.verify)
    except (CorruptFileError, FileNotFoundError) as error:
        return 'failed', str(error)
    if status in ('used', 'made', 'renewed'):
        return status, ''
    return 'repaired', status


def run(jobs: Sequence[Job], workers: int) -> Iterator[tuple[str, str]]:
    """Copy all files, in parallel."""
    if workers <= 1:
        yield from map(copy, jobs)
        return
    context = multiprocessing.get_context('spawn')
    with context.Pool(workers) as pool:
        yield from pool.imap_unordered(copy, jobs, chunksize=4)


def main(argv: Sequence[str] | None = None) -> int:
    """Copy, report each problem, and sum up."""
    args = parse_args(argv)
    find = configs_of_file if args.source.suffix == '.py' else configs_of_folder
    try:
        jobs = jobs_of(find(args.source, args.splits), args)
    except (CorruptFileError, FileNotFoundError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    counts: Counter[str] = Counter()
    for status, why in tqdm(run(jobs, args.workers), 'volumes', len(jobs)):
        counts[status] += 1
        if why:
            tqdm.write(f'{status}: {why}')
    print(
        f'{len(jobs)} files: '
        + ', '.join(f'{counts[name]} {name}' for name in sorted(counts))
    )
    if not jobs:
        return 2
    return 1 if counts['failed'] else 0


if __name__ == '__main__':
    sys.exit(main())
