"""Write picture panels of a dataset: image, depth, panoptic map, 3D from two sides.

Example:
    python tools/analysis/browse_dataset.py CONFIG --out work_dirs/browse --number 8

What is drawn has gone through the config's pipeline, augmentation included. Volumes are
loaded also where a 2D pipeline would not need them; ``--no-3d`` leaves them out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine import Config
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import mmp3d.datasets  # noqa: F401  registers
from mmp3d.datasets.folders import FRONT3D_LOADERS, loaders_of
from mmp3d.fileio import CorruptFileError, write_image
from mmp3d.registry import DATASETS
from mmp3d.visualization import sample_panel

# Targets that no panel shows; some need files that would then have to be read.
_UNSEEN = ('PlaneOccupancyTarget', 'MakePlaneDepth', 'MakePlaneRoomMask')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', type=Path)
    parser.add_argument('--out', type=Path, required=True, help='folder for the panels')
    parser.add_argument('--number', type=int, default=8, help='panels (default 8)')
    parser.add_argument(
        '--first', type=int, default=0, help='index of the first sample'
    )
    parser.add_argument(
        '--split',
        choices=('train', 'val', 'test'),
        default='train',
        help='or val, test',
    )
    parser.add_argument('--no-3d', action='store_true', help='draw the image only')
    return parser.parse_args(argv)


def pipeline_to_draw(
    pipeline: Sequence[dict], with_3d: bool, files: Sequence[dict] = FRONT3D_LOADERS
) -> list[dict]:
    """Change a pipeline so that it loads all that a panel shows, and only that.

    Args:
        pipeline: Of the config.
        with_3d: Whether the panel shows volumes.
        files: How the files of the dataset are read that ``pipeline`` does not read.
    """
    steps = {step['type']: step for step in (*files, *pipeline)}
    names = ['LoadReconstructionImage', 'LoadDepthMap', 'LoadPanopticMaps']
    if with_3d:
        names += ['LoadVolumes', 'LoadFrustumMask']
        drawn = ('geometry', 'segmentation')
        steps['LoadVolumes'] = {**steps['LoadVolumes'], 'volumes': drawn}
    pack = 'PackReconstructionInputs'
    changes = [
        step
        for step in pipeline
        if not step['type'].startswith('Load') and step['type'] not in (*_UNSEEN, pack)
    ]
    loaders = [steps[name] for name in names]
    return [*loaders, *changes, {'type': pack, 'with_3d': with_3d}]


def drawn_pipeline(settings: dict, with_3d: bool) -> list[dict]:
    """Change the pipeline of a dataset's settings, see ``pipeline_to_draw``."""
    files = loaders_of(DATASETS.get(settings['type']))
    return pipeline_to_draw(settings['pipeline'], with_3d, files)


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the samples that were asked for."""
    args = parse_args(argv)
    config = Config.fromfile(args.config)
    settings = config[f'{args.split}_dataloader']['dataset']
    pipeline = drawn_pipeline(settings, not args.no_3d)
    try:
        dataset = DATASETS.build({**settings, 'pipeline': pipeline})
        stop = min(args.first + args.number, len(dataset))
        for index in tqdm(range(args.first, stop), 'panels'):
            packed = dataset[index]
            sample = packed['data_samples']
            image = packed['inputs']['img'].permute(1, 2, 0).numpy()
            panel = sample_panel(sample, image, which='gt')
            write_image(args.out / f'{args.split}_{sample.sample_id}.png', panel)
    except (FileNotFoundError, CorruptFileError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print(f'{max(stop - args.first, 0)} panels in {args.out}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
