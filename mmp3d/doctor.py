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

# distribution, module to import, required, how to get it
PACKAGES = (
    ('torch', 'torch', True, 'make setup'),
    ('numpy', 'numpy', True, 'make setup'),
    ('mmengine', 'mmengine', True, 'make setup'),
    ('mmcv', 'mmcv', True, 'make setup (compiles it once)'),
    ('mmdet', 'mmdet', True, 'make setup'),
    ('mmdet3d', 'mmdet3d', True, 'make setup'),
    ('OpenEXR', 'OpenEXR', True, 'make setup'),
    ('numba', 'numba', True, 'make setup'),
    ('scikit-image', 'skimage', True, 'make setup'),
    ('trimesh', 'trimesh', True, 'make setup'),
    ('safetensors', 'safetensors', True, 'make setup'),
    ('spconv-cu120', 'spconv', False, 'pip install spconv-cu120 (the fast backend)'),
    ('mmdeploy', 'mmdeploy', False, 'pip install --no-deps mmdeploy==1.3.1 (export)'),
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


def check_package(dist: str, module: str, required: bool, remedy: str) -> Finding:
    """Import a package and tell its version."""
    try:
        importlib.import_module(module)
        return Finding(dist, metadata.version(dist))
    except metadata.PackageNotFoundError:
        return Finding(dist, 'installed, version unknown')
    except ImportError as error:
        reason = str(error).splitlines()[0]
        return Finding(dist, 'missing', f'{reason}; {remedy}', required)


def check_ops() -> Finding:
    """Run a compiled operator of mmcv."""
    try:
        import torch
        from mmcv.ops import nms

        nms(torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([1.0]), 0.5)
    except (ImportError, RuntimeError) as error:
        remedy = 'mmcv was built without operators or for another torch: make setup'
        return Finding('mmcv operators', 'broken', f'{error}; {remedy}', True)
    return Finding('mmcv operators', 'compiled, working')


def check_device() -> Finding:
    """Tell which device runs will use."""
    try:
        import torch
    except ImportError:
        return Finding('device', 'unknown', 'torch is missing', True)
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        free, total = (n / GIB for n in torch.cuda.mem_get_info())
        return Finding('device', f'{name}, {free:.1f} of {total:.1f} GiB free')
    note = ''
    if shutil.which('nvidia-smi'):
        note = 'a GPU is there, but torch is a CPU build: MMP3D_CUDA=1 make setup'
    return Finding('device', f'CPU, {torch.get_num_threads()} threads', note)


def check_sparse() -> Finding:
    """Tell which sparse-convolution backend will be used."""
    try:
        from mmp3d.sparse import available_backends, current_backend
    except ImportError as error:
        return Finding('sparse backend', 'unknown', str(error), True)
    available = available_backends()
    chosen = current_backend()
    if chosen == 'auto':
        chosen = f'torch on CPU, {available[-1]} on CUDA'
    note = '' if 'spconv' in available else 'spconv is missing; torch works, slower'
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
    return [
        Finding('python', system),
        *(check_package(*package) for package in PACKAGES),
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
