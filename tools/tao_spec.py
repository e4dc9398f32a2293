"""Turn a TAO spec into a config: ``python tools/tao_spec.py SPEC --out FILE``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmp3d.fileio import CorruptFileError, atomic_write
from mmp3d.tao import SpecError, convert, read_spec


def parse_args(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Turn a TAO NvPanoptix3D spec into a config of ours'
    )
    parser.add_argument('spec', help='YAML or JSON')
    parser.add_argument(
        '--set',
        dest='overrides',
        nargs='+',
        action='extend',
        default=[],
        metavar='key=value',
        help='values to lay over the spec, such as train.optim.lr=1e-4',
    )
    parser.add_argument(
        '--out', required=True, type=Path, help='config to write, best below configs/'
    )
    parser.add_argument(
        '--base',
        help='a config of ours to lay the spec over, instead of the published model; '
        'keys that the spec leaves out keep its values',
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert one spec and report every key; 1 if nothing was written."""
    args = parse_args(sys.argv[1:] if arguments is None else arguments)
    try:
        spec = read_spec(args.spec).with_overrides(args.overrides)
        conversion = convert(spec, 'train', args.base)
    except (SpecError, CorruptFileError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1
    print(conversion.report())
    with atomic_write(args.out) as temporary:
        temporary.write_text(conversion.text(args.out), encoding='utf-8')
    print(f'written: {args.out}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
