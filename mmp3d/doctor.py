"""Say what is installed, what is missing and how to get it: ``python -m mmp3d.doctor``.

Imports nothing at the top, so that it runs where the installation is broken. Ends with
exit code 1 if something required is missing.
"""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

REPAIR = 'make repair'

# distribution, module to import, required, how to get it
PACKAGES = (
    ('torch', 'torch', True, REPAIR),
    ('numpy', 'numpy', True, REPAIR),
    ('scipy', 'scipy', True, REPAIR),
    ('mmengine', 'mmengine', True, REPAIR),
    ('mmcv', 'mmcv', True, f'{REPAIR} (compiles it once)'),
    ('mmdet', 'mmdet', True, REPAIR),
    ('mmdet3d', 'mmdet3d', True, REPAIR),
    ('OpenEXR', 'OpenEXR', True, REPAIR),
    ('opencv-python-headless', 'cv2', True, REPAIR),
    ('pillow', 'PIL', True, REPAIR),
    ('numba', 'numba', True, REPAIR),
    ('scikit-image', 'skimage', True, REPAIR),
    ('trimesh', 'trimesh', True, REPAIR),
    ('jaxtyping', 'jaxtyping', True, REPAIR),
    ('safetensors', 'safetensors', True, REPAIR),
    ('tqdm', 'tqdm', True, REPAIR),
    ('spconv-cu120', 'spconv', False, f'{REPAIR} (the fast backend)'),
    ('tensorboard', 'tensorboard', False, 'pip install tensorboard (run logs)'),
)

GIB = 2**30


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        name: What was looked at.
        value: What was found.
        problem: What is wrong and how to mend it; empty if nothing is.
        required: Whether mmp3d cannot work with the problem.
    """

    name: str
    value: str
    problem: str = ''
    required: bool = False


def check_package(
    dist: str, module: str, required: bool, remedy: str, pin: str | None = None
) -> Finding:
    """Import a package and tell its version.

    Args:
        dist: Name of the distribution.
        module: What to import.
        required: Whether mmp3d cannot work without it.
        remedy: How to get it.
        pin: The version that was tested; ``None``: any.
    """
    try:
        importlib.import_module(module)
        version = metadata.version(dist)
    except metadata.PackageNotFoundError:
        return Finding(dist, 'installed, version unknown')
    except ModuleNotFoundError as error:
        return Finding(dist, 'missing', f'{error}; {remedy}', required)
    # A compiled library that does not fit raises one of the others.
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        return Finding(dist, 'broken', f'{reason}; {remedy}', required)
    if pin is not None and version.partition('+')[0] != pin:
        return Finding(dist, version, f'{pin} is what was tested; {remedy}')
    return Finding(dist, version)


def pinned_versions(requirements: Path) -> dict[str, str]:
    """The pins of the environment by distribution; empty where the folder is not."""
    lines = (
        line.partition('==')
        for path in sorted(requirements.glob('*.txt'))
        for line in path.read_text().splitlines()
    )
    return {name.strip(): version.strip() for name, equal, version in lines if equal}


def check_ops() -> Finding:
    """Run a compiled operator of mmcv where models will run."""
    device = 'nowhere'
    try:
        import torch
        from mmcv.ops import nms

        device = 'cuda' if torch.cuda.is_available() else 'cpu'
        box = torch.tensor([[0.0, 0, 1, 1]], device=device)
        nms(box, torch.ones(1, device=device), 0.5)
    except (ImportError, OSError, RuntimeError) as error:
        variable = 'MMP3D_CUDA=1 ' if device == 'cuda' else ''
        remedy = (
            'mmcv was built without operators, for another torch or another device: '
            f'{variable}{REPAIR}'
        )
        reason = str(error).splitlines()[0]
        return Finding('mmcv operators', 'broken', f'{reason}; {remedy}', True)
    return Finding('mmcv operators', f'compiled, working on {device}')


def check_device() -> Finding:
    """Tell which device runs will use."""
    try:
        import torch
    except (ImportError, OSError):
        return Finding('device', 'unknown', 'torch is missing or broken', True)
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        free, total = (n / GIB for n in torch.cuda.mem_get_info())
        return Finding('device', f'{name}, {free:.1f} of {total:.1f} GiB free')
    note = ''
    if shutil.which('nvidia-smi'):
        note = 'a GPU is there, but torch is a CPU build: MMP3D_CUDA=1 make repair'
    return Finding('device', f'CPU, {torch.get_num_threads()} threads', note)


def check_sparse() -> Finding:
    """Tell which sparse-convolution backend will be used."""
    try:
        from mmp3d.sparse import available_backends, current_backend
    except (ImportError, OSError) as error:
        return Finding('sparse backend', 'unknown', f'{error}; {REPAIR}', True)
    available = available_backends()
    chosen = current_backend()
    if chosen == 'auto':
        chosen = f'torch on CPU, {available[-1]} on CUDA'
    note = ''
    if 'spconv' not in available:
        note = f'spconv is missing; torch works, slower on CUDA; {REPAIR}'
    return Finding('sparse backend', chosen, note)


def check_space() -> list[Finding]:
    """Tell free memory and disk."""
    findings = []
    pages = os.sysconf('SC_AVPHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / GIB
    low = 'the tiny model wants 3 GiB, the full one 10' if pages < 3 else ''
    findings.append(Finding('free memory', f'{pages:.1f} GiB', low))
    disk = shutil.disk_usage('.').free / GIB
    low = 'the environment takes 2 GiB, make demo 1' if disk < 3 else ''
    findings.append(Finding('free disk here', f'{disk:.1f} GiB', low))
    return findings


def examine() -> list[Finding]:
    """Look at everything."""
    system = f'{platform.python_version()}, {platform.system()} {platform.machine()}'
    pins = pinned_versions(Path(__file__).resolve().parents[1] / 'requirements')
    return [
        Finding('python', system),
        *(check_package(*package, pins.get(package[0])) for package in PACKAGES),
        check_ops(),
        check_device(),
        check_sparse(),
        *check_space(),
    ]


def main() -> int:
    """Print the report."""
    findings = examine()
    for finding in findings:
        mark = '!!' if finding.required else ('- ' if finding.problem else 'ok')
        print(f'{mark} {finding.name:<16} {finding.value}')
        if finding.problem:
            print(f'   {"":<16} -> {finding.problem}')
    broken = [finding.name for finding in findings if finding.required]
    if broken:
        print(f'\nNot ready: {", ".join(broken)}.')
        return 1
    print('\nReady.')
    return 0


if __name__ == '__main__':
    sys.exit(main())
