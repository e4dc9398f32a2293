"""Use a trained model from Python: the inferencer and the writer of its results.

May import every room below. Start reading at ``reconstruction_inferencer.py``.
"""

from mmp3d.apis.original_size import at_original_size
from mmp3d.apis.reconstruction_inferencer import PanopticReconstructionInferencer
from mmp3d.apis.result_writer import write_results

__all__ = ['PanopticReconstructionInferencer', 'at_original_size', 'write_results']
