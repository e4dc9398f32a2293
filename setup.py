"""Packaging: ``pip install -e . --no-deps`` into an environment made by ``make setup``.

The pinned environment is described in ``requirements/``; the loose bounds below are
what the code needs.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(
    r"__version__ = '(.+)'", (ROOT / 'mmp3d' / '__init__.py').read_text()
).group(1)

setup(
    name='mmp3d',
    version=VERSION,
    description='Panoptic 3D perception as a plugin of MMDetection3D',
    long_description=(ROOT / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['mmp3d', 'mmp3d.*', 'projects', 'projects.*']),
    install_requires=[
        'torch>=2.5',
        'numpy>=1.24,<2',
        'scipy',
        'numba',
        'mmengine>=0.10.4,<1',
        'mmcv>=2.1,<2.2',
        'mmdet>=3.3,<3.4',
        'mmdet3d>=1.4,<1.5',
        'OpenEXR>=3.4.14',
        'opencv-python-headless',
        'pillow',
        'jaxtyping',
        'safetensors',
        'scikit-image',
        'trimesh',
        'tqdm',
    ],
    extras_require={
        'spconv': ['spconv-cu120'],
        'test': ['pytest', 'ruff'],
    },
)
