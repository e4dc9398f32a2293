"""Data preprocessors: from packed samples to the batch a model receives.

May import what ``mmp3d.models`` may. Start reading at
``reconstruction_preprocessor.py``.
"""

from mmp3d.models.data_preprocessors.reconstruction_preprocessor import (
    ReconstructionDataPreprocessor,
)

__all__ = ['ReconstructionDataPreprocessor']
