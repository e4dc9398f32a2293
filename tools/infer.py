"""Reconstruct images: ``tools/infer.py CONFIG CHECKPOINT IMAGES... --out DIR``."""

from __future__ import annotations

import argparse
import glob
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tqdm import tqdm

SUFFIXES = {'.png', '.jpg', '.jpeg'}


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Reconstruct scenes from images')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='.pth of a runner or .safetensors')
    parser.add_argument('images', nargs='+', help='files, globs or folders (png, jpg)')
    parser.add_argument(
        '--out', required=True, help='one folder per image is made here'
    )
    parser.add_argument(
        '--intrinsics',
        nargs=4,
        type=float,
        metavar=('FX', 'FY', 'CX', 'CY'),
        help='in pixels of the images, upright; goes before --camera',
    )
    parser.add_argument(
        '--camera',
        choices=('auto', 'exif', 'camera_head', 'dataset'),
        default='auto',
        help='where the intrinsics come from if none are given; auto: the first that '
        'is to be had of EXIF, the camera head, the dataset of the model',
    )
    parser.add_argument(
        '--fit',
        choices=('auto', 'stretch', 'pad'),
        default='auto',
        help='how an image gets the size of the model: stretch (as published), pad '
        '(keeps the aspect ratio), or auto: stretch where that distorts it by less '
        'than a tenth',
    )
    parser.add_argument(
        '--size',
        choices=('model', 'original'),
        default='model',
        help='size of the 2D files and of the K that is written: that at which the '
        'model works, or that of the image',
    )
    parser.add_argument(
        '--device', help='cpu, cuda, ...; default: a GPU if there is one'
    )
    return parser.parse_args()


def find_images(patterns: list[str]) -> list[Path]:
    """Expand files, globs and folders.

    Raises:
        FileNotFoundError: If a pattern fits nothing.
    """
    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            paths = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
        elif path.is_file():
            paths = [path]
        else:
            paths = [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]
            paths = [p for p in paths if p.suffix.lower() in SUFFIXES]
        if not paths:
            raise FileNotFoundError(
                f'{pattern!r} fits no image; give png or jpg files, globs or folders'
            )
        found += [p for p in paths if p not in found]
    return found


def folder_names(images: list[Path]) -> list[str]:
    """Give every image a folder of its own: its stem, with its folder if stems repeat.

    What still repeats is numbered.
    """
    stems = [image.stem for image in images]
    names: list[str] = []
    for image in images:
        name = image.stem
        if stems.count(name) > 1:
            name = f'{image.resolve().parent.name}_{name}'
        number = 2
        while name in names:
            name, number = f'{image.stem}_{number}', number + 1
        names.append(name)
    return names


def main() -> int:
    """Reconstruct every image; one that cannot be used is reported and skipped.

    Returns:
        0; 1 if an image was skipped; 2 if images, config or checkpoint are not there.
    """
    args = parse_args()
    from mmp3d.apis import (
        PanopticReconstructionInferencer,
        at_original_size,
        write_results,
    )
    from mmp3d.fileio import CorruptFileError, read_image
    from mmp3d.geometry import UnknownCameraError

    try:
        images = find_images(args.images)
        infer = PanopticReconstructionInferencer(
            args.config, args.checkpoint, args.device, args.camera, args.fit
        )
    except FileNotFoundError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    failures = []
    progress = tqdm(list(zip(images, folder_names(images), strict=True)), unit='image')
    for path, name in progress:
        progress.set_postfix_str(path.name)
        try:
            packed = infer.preprocess(path, args.intrinsics)
            (sample,) = infer.forward([packed])
        except (CorruptFileError, UnknownCameraError) as error:
            failures.append(path)
            progress.write(f'skipped: {error}')
            continue
        if args.size == 'original':
            sample, image = at_original_size(sample), read_image(path)
        else:
            image = packed['inputs']['img'].permute(1, 2, 0).numpy()
        write_results(sample, image, Path(args.out) / name)
    print(f'{len(images) - len(failures)} of {len(images)} images -> {args.out}')
    for path in failures:
        print(f'failed: {path}')
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
