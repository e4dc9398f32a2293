"""TAO's command line: ``python -m mmp3d.tao ACTION -e SPEC [key=value ...]``."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from mmp3d.fileio import CorruptFileError
from mmp3d.tao.convert import Conversion, KeyReport, convert
from mmp3d.tao.draft import ACTIONS, UNSUPPORTED
from mmp3d.tao.spec import SpecError, read_spec

# Configs import the projects, which stand beside this package.
ROOT = Path(__file__).resolve().parents[2]

_EXIT_ERROR = 1
_EXIT_USAGE = 2


def parse_args(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='python -m mmp3d.tao',
        description='Run a TAO NvPanoptix3D spec; see docs/coming_from_tao.md',
    )
    parser.add_argument('action', choices=ACTIONS)
    parser.add_argument(
        '-e', '--experiment_spec', required=True, metavar='SPEC', help='YAML or JSON'
    )
    parser.add_argument(
        '--base',
        help='a config of ours to lay the spec over, instead of the published model; '
        'keys that the spec leaves out keep its values',
    )
    parser.add_argument(
        '--camera',
        choices=('auto', 'exif', 'camera_head', 'dataset'),
        default='auto',
        help="where inference has the intrinsics from, see docs/cameras.md; 'dataset' "
        'is what TAO does',
    )
    parser.add_argument('overrides', nargs='*', metavar='key=value')
    return parser.parse_intermixed_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run one action; gives the exit code."""
    args = parse_args(arguments)
    if args.action == 'export':
        print(
            'export comes with deployment, which is not there yet; train, evaluate and '
            'inference work',
            file=sys.stderr,
        )
        return _EXIT_USAGE
    try:
        spec = read_spec(args.experiment_spec).with_overrides(args.overrides)
        conversion = convert(spec, args.action, args.base)
    except (SpecError, CorruptFileError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return _EXIT_USAGE
    sys.path.insert(0, str(ROOT))
    from mmp3d.tao import actions

    if 'LOCAL_RANK' not in os.environ:
        _print_unsupported(conversion.reports)
        launches = actions.launches(conversion, arguments)
        if launches:
            return run_together([(x.command, x.environment) for x in launches])
    try:
        return _run(conversion, args.camera)
    except (SpecError, CorruptFileError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return _EXIT_ERROR


def _run(conversion: Conversion, camera: str) -> int:
    from mmp3d.tao import actions

    action = conversion.draft.action
    if action == 'inference':
        return _EXIT_ERROR if actions.inference(conversion, camera) else 0
    run = actions.train if action == 'train' else actions.evaluate
    run(conversion)
    return 0


def run_together(launches: Sequence[tuple[list[str], dict[str, str]]]) -> int:
    """Start processes and wait for all; gives the first exit code that is not 0."""
    path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    environment = {**os.environ, 'PYTHONPATH': path}
    processes = [
        subprocess.Popen(command, env=environment | added)
        for command, added in launches
    ]

    def pass_on(number: int, frame: FrameType | None) -> None:
        for process in processes:
            process.send_signal(number)

    # A training that is told to stop saves first, see docs/training.md.
    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        codes = [process.wait() for process in processes]
    finally:
        signal.signal(signal.SIGTERM, before)
    return next((code for code in codes if code), 0)


def _print_unsupported(reports: Sequence[KeyReport]) -> None:
    for report in reports:
        if report.given and report.key.status == UNSUPPORTED:
            print(report, file=sys.stderr)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
