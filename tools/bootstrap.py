"""Make the pinned environment in ``.venv``; a no-op when it is up to date.

Needs Python 3.11 with its headers and a C++ compiler, nothing else. Run by ``make``;
``--repair`` (``make repair``) goes through all steps also where nothing changed.
Options are environment variables:

- ``MMP3D_CUDA=1``: the CUDA builds of torch and mmcv (needs nvcc; default: CPU).
- ``MMP3D_CACHE``: where the compiled mmcv wheel is kept (default: the user's cache
  folder, ``~/.cache/mmp3d``).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / '.venv'
STAMP = VENV / 'mmp3d-ready'
PIP = '25.3'


def read_pins(path: Path) -> dict[str, str]:
    """Versions by name of a requirements file."""
    lines = (line.partition('==') for line in path.read_text().splitlines())
    return {name: version for name, equal, version in lines if equal}


PINS = read_pins(ROOT / 'requirements' / 'torch.txt')
TORCH, TORCHVISION, MMCV = (PINS[name] for name in ('torch', 'torchvision', 'mmcv'))
CUDA = os.environ.get('MMP3D_CUDA', '0') == '1'
FLAVOUR = 'cuda' if CUDA else 'cpu'
# Where a package index offers both builds of torch, pip prefers the one named +cpu.
TORCH_PIN = f'torch=={TORCH},!={TORCH}+cpu' if CUDA else f'torch=={TORCH}'
FREE_GIB = 12 if CUDA else 3  # what a new environment takes, and a little more


def say(text: str) -> None:
    """Tell the user what is going on."""
    print(f'[mmp3d] {text}', flush=True)


def cache_dir() -> Path:
    """Folder of the compiled wheel for this Python, torch and flavour."""
    base = os.environ.get('MMP3D_CACHE')
    if not base:
        base = Path(os.environ.get('XDG_CACHE_HOME', Path.home() / '.cache')) / 'mmp3d'
    version = f'{sys.version_info.major}.{sys.version_info.minor}'
    return Path(base) / 'wheels' / f'py{version}-torch{TORCH}-{FLAVOUR}'


def fingerprint() -> str:
    """What the environment depends on; a change of it means a new set-up."""
    digest = hashlib.sha256(f'{sys.version_info[:2]} {FLAVOUR} {TORCH}'.encode())
    for path in [*sorted((ROOT / 'requirements').glob('*.txt')), Path(__file__)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def pip(*args: str, **environment: str) -> None:
    """Run pip inside the environment; stop where it fails."""
    command = [str(VENV / 'bin' / 'python'), '-m', 'pip', '--disable-pip-version-check']
    done = subprocess.run(
        [*command, *args], env={**os.environ, **environment}, check=False
    )
    if done.returncode:
        sys.exit(
            f'[mmp3d] pip {args[0]} failed (exit code {done.returncode}). The message '
            'above is from pip; fix it (network, disk space, compiler) and run the '
            'same command again: finished steps are kept.'
        )


def make_venv() -> None:
    """Make ``.venv``, unless there is a whole one of this Python."""
    python = VENV / 'bin' / 'python'
    if python.exists():
        question = 'import sys, pip; print(*sys.version_info[:2], sep=".")'
        answer = subprocess.run(
            [str(python), '-c', question], capture_output=True, text=True, check=False
        )
        version = f'{sys.version_info.major}.{sys.version_info.minor}'
        if answer.stdout.strip() == version:
            return
        say(f'{VENV} is unfinished or of another Python: it is made anew')
    done = subprocess.run([sys.executable, '-m', 'venv', '--clear', VENV], check=False)
    if done.returncode:
        sys.exit(
            f'[mmp3d] {sys.executable} could not make the environment {VENV}; the '
            "message above is Python's. If ensurepip is missing, install the package "
            'that brings it (Debian: apt-get install python3.11-venv).'
        )


def cached_wheels() -> list[Path]:
    """The compiled mmcv wheels that fit; there is one after the first set-up."""
    return sorted(cache_dir().glob(f'mmcv-{MMCV}-*.whl'))


def install_mmcv() -> None:
    """Install mmcv with its compiled operators, from the cache where it is there."""
    if not cached_wheels():
        build_mmcv()
    # Forced: the version is the same for CPU and CUDA, so pip sees no difference.
    wheel = str(cached_wheels()[-1])
    pip('install', '-q', '--no-deps', '--force-reinstall', wheel)


def build_mmcv() -> None:
    """Compile mmcv into the cache; a wheel appears there whole or not at all."""
    folder = cache_dir()
    say(
        f'building mmcv {MMCV} with its operators for {FLAVOUR}, once: about 6 min '
        f'on two cores ({"longer with CUDA; " if CUDA else ""}kept in {folder})'
    )
    folder.mkdir(parents=True, exist_ok=True)
    environment = dict(
        MMCV_WITH_OPS='1',
        FORCE_CUDA=str(int(CUDA)),
        MAX_JOBS=os.environ.get('MAX_JOBS', str(os.cpu_count() or 2)),
        CFLAGS='-O2 -g0',
    )
    if not CUDA:
        environment['CUDA_VISIBLE_DEVICES'] = ''  # mmcv asks for nvcc if it sees a GPU
    with tempfile.TemporaryDirectory(dir=folder, prefix='build-') as build:
        pip(
            'wheel', '-q', '--no-deps', '--no-build-isolation', '--no-cache-dir',
            f'mmcv=={MMCV}', '-w', build, **environment,
        )  # fmt: skip
        for wheel in Path(build).glob('*.whl'):
            os.replace(wheel, folder / wheel.name)


def check_machine() -> None:
    """Stop early, with a message, where the machine cannot do it."""
    if sys.version_info[:2] != (3, 11):
        sys.exit(
            '[mmp3d] Python 3.11 is needed (spconv-cu120 has no wheel for newer ones), '
            f'this is {sys.version.split()[0]}. Install python3.11 and run '
            '`make PYTHON=python3.11 ...`.'
        )
    if not cached_wheels():
        check_compiler()
    if CUDA and shutil.which('nvcc') is None:
        sys.exit('[mmp3d] MMP3D_CUDA=1 needs nvcc on the PATH to compile mmcv.')
    free = shutil.disk_usage(VENV.parent).free / 2**30
    if not VENV.exists() and free < FREE_GIB:
        sys.exit(
            f'[mmp3d] a new environment needs {FREE_GIB} GiB of disk space, '
            f'{VENV.parent} has {free:.1f} GiB free. Make room and run it again.'
        )


def check_compiler() -> None:
    """Stop where mmcv has to be compiled and cannot be."""
    why = f'and there is no compiled mmcv wheel in {cache_dir()}'
    if 'CXX' not in os.environ and not (shutil.which('c++') or shutil.which('g++')):
        sys.exit(
            f'[mmp3d] no C++ compiler found, {why}. Install g++ (Debian: apt-get '
            'install g++).'
        )
    header = Path(sysconfig.get_path('include')) / 'Python.h'
    if not header.is_file():
        sys.exit(
            f'[mmp3d] {header} is missing, {why}. Install the headers of Python '
            '(Debian: apt-get install python3.11-dev).'
        )


def install_torch() -> None:
    """Install torch; say so where it is not the build that was meant."""
    build_tools = str(ROOT / 'requirements' / 'build.txt')
    # Upgraded: a CPU build that the index has since counts as newer than a CUDA one.
    pip('install', '-q', '--upgrade', TORCH_PIN, '-r', build_tools)
    if CUDA:
        # Only beside a CUDA torch: the wheel cannot be imported on a CPU build.
        pip('install', '-q', '--no-deps', f'torchvision=={TORCHVISION}')
    question = 'import torch; print(torch.version.cuda)'
    python = str(VENV / 'bin' / 'python')
    answer = subprocess.run(
        [python, '-c', question], capture_output=True, text=True, check=False
    )
    if answer.stdout.strip() != 'None' and not CUDA:
        say(
            'your package index offers torch with CUDA only: it works on a CPU, but '
            'takes 5 GB more. With PIP_EXTRA_INDEX_URL set to the index of CPU builds '
            "that PyTorch's installation page names, `make repair` takes the small one."
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Bring ``.venv`` up to date."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--repair', action='store_true', help='go through all steps')
    args = parser.parse_args(argv)
    wanted = fingerprint()
    if STAMP.is_file() and STAMP.read_text() == wanted and not args.repair:
        return
    check_machine()
    start = time.time()
    minutes = 3 if cached_wheels() else 9
    size = '7 GB' if CUDA else '2 GB'
    say(f'setting up {VENV} ({FLAVOUR}): about {minutes} min, about {size}')
    STAMP.unlink(missing_ok=True)
    make_venv()
    pip('install', '-q', f'pip=={PIP}')
    say('1/4 torch (about 1 min)')
    install_torch()
    say('2/4 libraries (about 2 min)')
    for name in ('runtime.txt', 'test.txt'):
        pip('install', '-q', '--no-deps', '-r', str(ROOT / 'requirements' / name))
    say('3/4 mmcv')
    install_mmcv()
    say('4/4 mmp3d')
    pip('install', '-q', '--no-deps', '--no-build-isolation', '-e', str(ROOT))
    STAMP.write_text(wanted)
    say(f'ready after {(time.time() - start) / 60:.1f} min')


if __name__ == '__main__':
    main()
