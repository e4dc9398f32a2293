"""Make the pinned environment in ``.venv``; a no-op when it is up to date.

Needs Python 3.11 and a C++ compiler, nothing else. Run by ``make``; options are
environment variables:

- ``MMP3D_CUDA=1``: the CUDA builds of torch and mmcv (needs nvcc; default: CPU).
- ``MMP3D_CACHE``: where the compiled mmcv wheel is kept (default: the user's cache
  folder, ``~/.cache/mmp3d``).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / '.venv'
STAMP = VENV / 'mmp3d-ready'
TORCH, TORCHVISION, MMCV, PIP = '2.13.0', '0.28.0', '2.1.0', '25.3'
CUDA = os.environ.get('MMP3D_CUDA', '0') == '1'
FLAVOUR = 'cuda' if CUDA else 'cpu'


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
    """Run pip inside the environment; stop with its exit code where it fails."""
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


def install_mmcv() -> None:
    """Install mmcv with its compiled operators, from the cache where it is there."""
    folder = cache_dir()
    wheels = sorted(folder.glob(f'mmcv-{MMCV}-*.whl'))
    if not wheels:
        say(
            f'building mmcv {MMCV} with its operators for {FLAVOUR}, once: about 6 min '
            f'on two cores ({"longer with CUDA; " if CUDA else ""}kept in {folder})'
        )
        build = folder / f'build-{os.getpid()}'
        build.mkdir(parents=True)
        jobs = os.environ.get('MAX_JOBS', str(os.cpu_count() or 2))
        pip(
            'wheel', '-q', '--no-deps', '--no-build-isolation', '--no-cache-dir',
            f'mmcv=={MMCV}', '-w', str(build),
            MMCV_WITH_OPS='1', FORCE_CUDA=str(int(CUDA)), MAX_JOBS=jobs,
            CFLAGS='-O2 -g0',
        )  # fmt: skip
        for wheel in build.glob('*.whl'):
            os.replace(wheel, folder / wheel.name)
        shutil.rmtree(build)
        wheels = sorted(folder.glob(f'mmcv-{MMCV}-*.whl'))
    pip('install', '-q', '--no-deps', str(wheels[-1]))


def check_machine() -> None:
    """Stop early, with a message, where the machine cannot do it."""
    if sys.version_info[:2] != (3, 11):
        sys.exit(
            '[mmp3d] Python 3.11 is needed (spconv-cu120 has no wheel for newer ones), '
            f'this is {sys.version.split()[0]}. Install python3.11 and run '
            '`make PYTHON=python3.11 ...`.'
        )
    if shutil.which('g++') is None and not list(cache_dir().glob('*.whl')):
        sys.exit(
            '[mmp3d] no C++ compiler found, and no compiled mmcv wheel in '
            f'{cache_dir()}. Install g++ (Debian: apt-get install g++).'
        )
    if CUDA and shutil.which('nvcc') is None:
        sys.exit('[mmp3d] MMP3D_CUDA=1 needs nvcc on the PATH to compile mmcv.')


def main() -> None:
    """Bring ``.venv`` up to date."""
    wanted = fingerprint()
    if STAMP.is_file() and STAMP.read_text() == wanted:
        return
    check_machine()
    start = time.time()
    minutes = 3 if list(cache_dir().glob('*.whl')) else 9
    say(f'setting up {VENV} ({FLAVOUR}): about {minutes} min, about 2 GB')
    if not (VENV / 'bin' / 'python').exists():
        subprocess.run([sys.executable, '-m', 'venv', str(VENV)], check=True)
    requirements = ROOT / 'requirements'
    pip('install', '-q', f'pip=={PIP}')
    say('1/4 torch')
    pip('install', '-q', f'torch=={TORCH}', '-r', str(requirements / 'build.txt'))
    if CUDA:
        # Only beside a CUDA torch: the wheel cannot be imported on a CPU build.
        pip('install', '-q', '--no-deps', f'torchvision=={TORCHVISION}')
    say('2/4 libraries')
    for name in ('runtime.txt', 'test.txt'):
        pip('install', '-q', '--no-deps', '-r', str(requirements / name))
    say('3/4 mmcv')
    install_mmcv()
    say('4/4 mmp3d')
    pip('install', '-q', '--no-deps', '--no-build-isolation', '-e', str(ROOT))
    STAMP.write_text(wanted)
    say(f'ready after {(time.time() - start) / 60:.1f} min')


if __name__ == '__main__':
    main()
