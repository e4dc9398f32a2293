"""Generate SynthRooms: procedural indoor rooms in 3D-Front's or Matterport3D's layout.

Example:
    python tools/dataset_converters/make_synthrooms.py --out data/synthrooms \
        --train 1000 --val 100 --test 100 --grid 64 --workers 2
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmp3d.structures import FrustumGrid
from mmp3d.testing.synth_rooms import (
    FRONT3D_LAYOUT,
    MATTERPORT_LAYOUT,
    SynthRoomsSpec,
    make_dataset,
)

LAYOUTS = {layout.name: layout for layout in (FRONT3D_LAYOUT, MATTERPORT_LAYOUT)}
# Edge of the published grid in metres: 256 voxels of 3 cm.
_EDGE = 7.68


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=Path('data/synthrooms'))
    for split, count in (('train', 1000), ('val', 100), ('test', 100)):
        parser.add_argument(
            f'--{split}', type=int, default=count, help=f'images (default {count})'
        )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--workers', type=int, default=1, help='processes')
    parser.add_argument(
        '--images-per-room', type=int, default=1, help='views of each room'
    )
    parser.add_argument(
        '--grid', type=int, default=256, help='voxels along each axis (default 256)'
    )
    parser.add_argument(
        '--voxel-size',
        type=float,
        help='metres; default: the grid spans 7.68 m, so 3 cm at 256 and 12 cm at 64',
    )
    parser.add_argument(
        '--layout', choices=sorted(LAYOUTS), default='front3d', help='of the files'
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Generate the dataset and say where it is."""
    args = parse_args(argv)
    voxel_size = args.voxel_size or _EDGE / args.grid
    counts = {'train': args.train, 'val': args.val, 'test': args.test}
    try:
        grid = FrustumGrid(dims=(args.grid,) * 3, voxel_size=voxel_size)
        spec = SynthRoomsSpec(args.seed, grid, args.images_per_room)
        jobs = make_dataset(args.out, spec, counts, args.workers, LAYOUTS[args.layout])
        total = sum(counts.values())
        for _ in tqdm(jobs, 'SynthRooms', total, unit='image', smoothing=0.05):
            pass
    except ValueError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print(
        f'{total} images in {args.out}: '
        + ', '.join(f'{k} {v}' for k, v in counts.items())
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
