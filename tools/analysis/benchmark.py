"""Measure parts of the library: seconds and additional memory, beside a plain way.

    python tools/analysis/benchmark.py panoptic3d
    python tools/analysis/benchmark.py panoptic3d --grid 128 --voxels 90000
    python tools/analysis/benchmark.py cache
    python tools/analysis/benchmark.py metric
    python tools/analysis/benchmark.py forward --config configs/nvpanoptix3d/X.py

Every measurement runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from jaxtyping import Float, Int  # noqa: E402
from torch import Tensor  # noqa: E402

from mmp3d.datasets import SampleFiles  # noqa: E402
from mmp3d.datasets.transforms import LoadVolumes  # noqa: E402
from mmp3d.evaluation.functional import (  # noqa: E402
    count_matches,
    overlaps,
    thickened_masks,
    thickened_segments,
)
from mmp3d.sparse import SparseVoxels  # noqa: E402
from mmp3d.structures import FRONT3D, FrustumGrid, LabelSpace  # noqa: E402
from mmp3d.testing.synth_rooms import (  # noqa: E402
    SynthRoomsSpec,
    generate_sample,
    sample_files,
    write_sample,
)
from projects.NvPanoptix3D.nvpanoptix3d.volume_segmentation import (  # noqa: E402
    segment_volumes,
)
from tools.analysis.model_cost import forward_cost  # noqa: E402

Work = Callable[[], object]
MIB = 2**20


@dataclass(frozen=True)
class Measurement:
    """Cost of one piece of work.

    Attributes:
        seconds: Shortest time of all repetitions.
        cpu_seconds: The same as seen by the processor, over all threads; fairer on a
            busy machine.
        extra_mib: Peak memory above what was there before.
    """

    seconds: float
    cpu_seconds: float
    extra_mib: float


# A case prepares its inputs from JSON arguments and gives the work to be measured; a
# benchmark measures cases and prints a comparison.
CASES: dict[str, Callable[..., Work]] = {}
BENCHMARKS: dict[str, Callable[[argparse.Namespace], None]] = {}


def case(function: Callable[..., Work]) -> Callable[..., Work]:
    """Register a case under its function's name."""
    CASES[function.__name__] = function
    return function


def benchmark(
    function: Callable[[argparse.Namespace], None],
) -> Callable[[argparse.Namespace], None]:
    """Register a benchmark under its function's name."""
    BENCHMARKS[function.__name__] = function
    return function


def measure(name: str, threads: int, **arguments: int | float | str) -> Measurement:
    """Run a case in a fresh process.

    Raises:
        RuntimeError: If that process fails, for example for want of memory.
    """
    task = json.dumps({'name': name, 'threads': threads, 'arguments': arguments})
    done = subprocess.run(
        [sys.executable, __file__, '--case', task],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(
            f'case {name} with {arguments} ended with code {done.returncode}; its last '
            f'words: {done.stderr[-2000:]}'
        )
    return Measurement(**json.loads(done.stdout.splitlines()[-1]))


def run_case(task: str, repeats: int = 3) -> Measurement:
    """Measure a case in this process."""
    description = json.loads(task)
    torch.set_num_threads(description['threads'])
    work = CASES[description['name']](**description['arguments'])
    _forget_peak_memory()
    before = _memory('VmRSS')
    seconds, cpu_seconds = [], []
    for _ in range(repeats):
        start, cpu_start = time.perf_counter(), time.process_time()
        work()
        seconds.append(time.perf_counter() - start)
        cpu_seconds.append(time.process_time() - cpu_start)
    extra_mib = (_memory('VmHWM') - before) / MIB
    return Measurement(min(seconds), min(cpu_seconds), extra_mib)


def _memory(field: str) -> int:
    """Bytes of this process: VmRSS now, VmHWM at its peak."""
    lines = Path('/proc/self/status').read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f'{field}:'))
    return int(line.split()[1]) * 1024


def _forget_peak_memory() -> None:
    """Where the system refuses, the peak of the preparation counts as well."""
    try:
        Path('/proc/self/clear_refs').write_text('5')
    except OSError as error:
        print(f'peak memory includes the preparation: {error}', file=sys.stderr)


def print_table(rows: list[tuple[str, Measurement]]) -> None:
    """One line per measurement."""
    print(f'{"":34}{"seconds":>10}{"cpu seconds":>13}{"extra MiB":>12}')
    for title, cost in rows:
        print(
            f'{title:34}{cost.seconds:10.3f}{cost.cpu_seconds:13.3f}'
            f'{cost.extra_mib:12.1f}'
        )


# 3D panoptic inference ----------------------------------------------------------------


def _volume_inputs(
    grid: int, voxels: int, queries: int
) -> tuple[Tensor, SparseVoxels, Tensor, SparseVoxels]:
    """Random predictions of which every query is kept."""
    generator = torch.Generator().manual_seed(0)
    cells = torch.randint(grid**3, (2 * voxels,), generator=generator).unique()
    if len(cells) < voxels:
        raise ValueError(
            f'expected at most about {len(cells)} voxels in a grid of {grid}, got '
            f'{voxels}; use fewer voxels or a larger grid'
        )
    cells = cells[torch.randperm(len(cells), generator=generator)[:voxels]].sort()[0]
    coords = torch.stack(
        (cells * 0, cells // grid**2, cells // grid % grid, cells % grid), dim=1
    ).int()
    class_logits = torch.rand(1, queries, FRONT3D.num_classes + 1, generator=generator)
    labels = torch.arange(queries) % (FRONT3D.num_classes - 1) + 1
    class_logits[0, torch.arange(queries), labels] += 12
    features = torch.randn(voxels, 16, generator=generator)
    distances = torch.rand(voxels, 1, generator=generator) * 3
    return (
        class_logits,
        SparseVoxels(coords, features, stride=1, batch_size=1),
        torch.randn(1, queries, 16, generator=generator),
        SparseVoxels(coords, distances, stride=1, batch_size=1),
    )


def segment_densely(
    class_logits: Float[Tensor, 'B Q L'],
    mask_features: SparseVoxels,
    mask_queries: Float[Tensor, 'B Q C'],
    tudf: SparseVoxels,
    dims: tuple[int, int, int],
    *,
    label_space: LabelSpace,
    object_mask_threshold: float,
    truncation: float = 3.0,
    surface_limit: float = 1.5,
) -> list[tuple[Float[Tensor, 'X Y Z'], Int[Tensor, 'X Y Z']]]:
    """Do as ``segment_volumes`` does, through a dense volume per query."""
    results = []
    for b in range(tudf.batch_size):
        scores, labels = class_logits[b].softmax(dim=-1).max(dim=-1)
        is_kept = (labels != label_space.no_object) & (labels != label_space.void)
        kept = (is_kept & (scores > object_mask_threshold)).nonzero()[:, 0]
        rows = (tudf.coords[:, 0] == b).nonzero()[:, 0]
        x, y, z = tudf.coords[rows, 1:].long().unbind(dim=1)
        distances = torch.full(dims, truncation)
        distances[x, y, z] = tudf.feats[rows, 0]
        ids = torch.zeros(dims, dtype=torch.int32)
        results.append((distances, ids))
        if len(kept) == 0:
            continue
        masks = torch.zeros(len(kept), *dims)
        masks[:, x, y, z] = (
            mask_queries[b, kept] @ mask_features.feats[rows].T
        ).sigmoid()
        winner = (masks * scores[kept, None, None, None]).argmax(dim=0)
        id_of, stuff_ids = {}, {}
        for k, label in enumerate(labels[kept].tolist()):
            mask = (winner == k) & (masks[k] >= 0.5)
            if not mask.any():
                continue
            if label not in stuff_ids:
                id_of[k] = max(id_of.values(), default=0) + 1
                if not label_space.is_thing(label):
                    stuff_ids[label] = id_of[k]
            else:
                id_of[k] = stuff_ids[label]
            ids[mask] = id_of[k]
        unclaimed = (distances <= surface_limit) & (ids == 0)
        for k, segment_id in id_of.items():
            ids[unclaimed & (winner == k)] = segment_id
    return results


@case
def panoptic3d_sparse(grid: int, voxels: int, queries: int) -> Work:
    """Our fusion, on the rows of the sparse voxels."""
    return _segmenting(segment_volumes, grid, voxels, queries)


@case
def panoptic3d_dense(grid: int, voxels: int, queries: int) -> Work:
    """The plain way."""
    return _segmenting(segment_densely, grid, voxels, queries)


def _segmenting(
    segment: Callable[..., list], grid: int, voxels: int, queries: int
) -> Work:
    inputs = _volume_inputs(grid, voxels, queries)
    rules = {'label_space': FRONT3D, 'object_mask_threshold': 0.5}
    # The libraries load their code at the first call.
    segment(*_volume_inputs(8, 64, 4), (8, 8, 8), **rules)
    return lambda: segment(*inputs, (grid, grid, grid), **rules)


@benchmark
def panoptic3d(arguments: argparse.Namespace) -> None:
    """3D panoptic inference: all queries kept, against a dense volume per query."""
    full = {
        'grid': arguments.grid,
        'voxels': arguments.voxels,
        'queries': arguments.queries,
    }
    shrink = max(1, arguments.grid // arguments.dense_grid)
    small = {
        'grid': arguments.grid // shrink,
        'voxels': arguments.voxels // shrink**3,
        'queries': arguments.queries,
    }
    rows = [
        (_title(name, size), measure(f'panoptic3d_{name}', arguments.threads, **size))
        for name, size in (('sparse', full), ('sparse', small), ('dense', small))
    ]
    print_table(rows)
    ours, plain = rows[1][1], rows[2][1]
    print(
        f'the dense way takes {plain.cpu_seconds / ours.cpu_seconds:.1f} x the cpu '
        f'time and {plain.extra_mib / max(ours.extra_mib, 1):.1f} x the memory'
    )


def _title(name: str, size: dict[str, int]) -> str:
    return f'{name}, grid {size["grid"]}, {size["voxels"]} voxels'


# Volumes from disk --------------------------------------------------------------------


@case
def cache_npz(grid: int) -> Work:
    """The published files."""
    return _loading(grid, with_cache=False)


@case
def cache_sparse(grid: int) -> Work:
    """Sparse copies of them."""
    return _loading(grid, with_cache=True)


def _loading(grid: int, with_cache: bool) -> Work:
    """Load distances, labels and weights of one image, as in training."""
    folder = tempfile.TemporaryDirectory()
    frustum_grid = FrustumGrid((grid, grid, grid), voxel_size=7.68 / grid)
    files = _write_room(Path(folder.name), frustum_grid)
    cache_dir = f'{folder.name}/cache' if with_cache else None
    loader = LoadVolumes(stored_flipped=True, cache_dir=cache_dir)
    results = {'files': files, 'grid': frustum_grid, 'label_space': FRONT3D}

    def load(_keep: tempfile.TemporaryDirectory = folder) -> dict:
        return loader.transform(dict(results))

    load()  # makes the copies
    return load


def _write_room(folder: Path, grid: FrustumGrid) -> SampleFiles:
    """The volumes of a SynthRooms room."""
    room = generate_sample('test', 0, SynthRoomsSpec(grid=grid))
    write_sample(folder, 'scene', '0000', room)
    paths = sample_files(folder, 'scene', '0000')
    volumes = (paths[name] for name in ('geometry', 'segmentation', 'weighting'))
    missing = folder / 'not_needed'
    return SampleFiles(missing, missing, missing, *volumes)


@benchmark
def cache(arguments: argparse.Namespace) -> None:
    """Loading the volumes of one image: npz files, against their sparse copies."""
    grid = arguments.grid
    rows = [
        (f'{name}, grid {grid}', measure(f'cache_{name}', 1, grid=grid))
        for name in ('npz', 'sparse')
    ]
    print_table(rows)
    npz, sparse = rows[0][1], rows[1][1]
    print(
        f'the npz files take {npz.seconds / sparse.seconds:.1f} x the time and '
        f'{npz.cpu_seconds / sparse.cpu_seconds:.1f} x the cpu time'
    )


# The 3D metric ------------------------------------------------------------------------


def _room_segments(grid: int, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and distances of three walls and ten boxes, moved by some voxels."""
    axes = np.stack(np.meshgrid(*[np.arange(grid)] * 3, indexing='ij'))
    wall = axes - grid * 5 // 6 - shift
    ids, distance = abs(wall).argmin(axis=0) + 1, abs(wall).min(axis=0)
    outside = (axes < grid // 6).any(axis=0) | (wall > 12).any(axis=0)
    distance[outside] = 12
    rng = np.random.default_rng(0)
    for segment in range(4, 14):
        half = rng.integers(grid // 32, grid // 10, (3, 1, 1, 1))
        centre = rng.integers(grid // 4, grid * 2 // 3, (3, 1, 1, 1)) + shift
        to_box = abs((abs(axes - centre) - half).max(axis=0))
        ids[to_box < distance] = segment
        distance = np.minimum(distance, to_box)
    return ids.astype(np.int32), np.minimum(distance, 12).astype(np.float32)


@case
def metric_counted(grid: int) -> Work:
    """One pass over the voxels that any segment covers."""
    labels = list(range(1, 14))
    volumes = [_room_segments(grid, shift) for shift in (0, 1)]

    def count() -> object:
        gt, pred = (thickened_segments(i, labels, d) for i, d in volumes)
        return count_matches(overlaps(gt, labels, pred, labels), 14, 0.25)

    count()  # compiles what is compiled at first use
    return count


@case
def metric_pairwise(grid: int) -> Work:
    """A dense mask per segment, and every pair of them."""
    labels = list(range(1, 14))
    volumes = [_room_segments(grid, shift) for shift in (0, 1)]

    def count() -> object:
        gt, pred = (thickened_masks(i, labels, d) for i, d in volumes)
        return [[(a & b).sum() / max((a | b).sum(), 1) for b in pred] for a in gt]

    return count


@benchmark
def metric(arguments: argparse.Namespace) -> None:
    """PRQ of a pair of volumes with 13 segments: one count, against pairs of masks."""
    grid = arguments.grid
    rows = [
        (f'{name}, grid {grid}', measure(f'metric_{name}', 1, grid=grid))
        for name in ('counted', 'pairwise')
    ]
    print_table(rows)
    counted, pairwise = rows[0][1], rows[1][1]
    print(
        f'the pairs take {pairwise.cpu_seconds / counted.cpu_seconds:.1f} x the cpu '
        f'time and {pairwise.extra_mib / max(counted.extra_mib, 1):.1f} x the memory'
    )


# A whole model -----------------------------------------------------------------------


@benchmark
def forward(arguments: argparse.Namespace) -> None:
    """One image through every part of a model: seconds, GFLOP, parameters, memory."""
    torch.set_num_threads(arguments.threads)
    cost = forward_cost(arguments.config, arguments.checkpoint, arguments.device)
    print(f'{"":34}{"seconds":>10}{"GFLOP":>10}{"M parameters":>14}')
    for part in cost.parts:
        indent = '  ' * part.name.count('.') + '  ' * bool(part.name)
        title = indent + (part.name.rpartition('.')[2] or 'all')
        print(
            f'{title:34}{part.seconds:10.2f}{part.gflop:10.1f}'
            f'{part.parameters / 1e6:14.1f}'
        )
    for name, rows in cost.voxels.items():
        print(f'voxels of {name}: {rows}')
    if arguments.device.startswith('cuda'):
        peak = torch.cuda.max_memory_allocated()
    else:
        peak = _memory('VmHWM')
    print(f'peak memory, weights and libraries included: {peak / 2**30:.2f} GiB')


def main() -> None:
    """Parse the command line and run a benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('benchmark', nargs='?', choices=sorted(BENCHMARKS))
    parser.add_argument('--grid', type=int, default=256, help='voxels along an axis')
    parser.add_argument(
        '--dense-grid', type=int, default=128, help='grid at which the dense way fits'
    )
    parser.add_argument('--voxels', type=int, default=700_000, help='active voxels')
    parser.add_argument('--queries', type=int, default=100)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument(
        '--config',
        default='configs/nvpanoptix3d/nvpanoptix3d_tiny_stage2_synthrooms.py',
    )
    parser.add_argument('--checkpoint', help='default: random weights')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--case', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(asdict(run_case(arguments.case))))
    elif arguments.benchmark:
        BENCHMARKS[arguments.benchmark](arguments)
    else:
        parser.error(f'name a benchmark: {", ".join(sorted(BENCHMARKS))}')


if __name__ == '__main__':
    main()
