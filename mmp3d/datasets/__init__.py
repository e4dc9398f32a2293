"""Datasets and the pipelines that load them.

May import ``geometry``, ``fileio``, ``structures`` and below. Start reading at
``reconstruction_dataset.py``.
"""

from mmp3d.datasets import transforms
from mmp3d.datasets.checking import FileChecks
from mmp3d.datasets.front3d import Front3DDataset
from mmp3d.datasets.matterport3d import Matterport3DDataset, MatterportImage
from mmp3d.datasets.published_names import dataset_type
from mmp3d.datasets.reconstruction_dataset import ReconstructionDataset, SampleFiles
from mmp3d.datasets.samplers import ResumableInfiniteSampler, SeededIndex

__all__ = [
    'FileChecks',
    'Front3DDataset',
    'Matterport3DDataset',
    'MatterportImage',
    'ReconstructionDataset',
    'ResumableInfiniteSampler',
    'SampleFiles',
    'SeededIndex',
    'dataset_type',
    'transforms',
]
