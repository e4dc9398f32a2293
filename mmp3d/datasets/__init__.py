"""Datasets and the pipelines that load them.

May import ``geometry``, ``fileio``, ``structures`` and below. Start reading at
``reconstruction_dataset.py``.
"""

from mmp3d.datasets import transforms
from mmp3d.datasets.checking import FileChecks
from mmp3d.datasets.front3d import Front3DDataset
from mmp3d.datasets.reconstruction_dataset import ReconstructionDataset, SampleFiles
from mmp3d.datasets.samplers import ResumableInfiniteSampler, SeededIndex

__all__ = [
    'FileChecks',
    'Front3DDataset',
    'ReconstructionDataset',
    'ResumableInfiniteSampler',
    'SampleFiles',
    'SeededIndex',
    'transforms',
]
