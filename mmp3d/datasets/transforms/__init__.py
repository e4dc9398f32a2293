"""Pipeline steps: read the files of a sample, augment it, derive targets, pack.

May import ``geometry``, ``fileio``, ``structures`` and below. Start reading at
``loading.py``; the docstring of a step names the keys that it adds to ``results``.
"""

from mmp3d.datasets.transforms.colour import DistortColours
from mmp3d.datasets.transforms.formatting import PackReconstructionInputs
from mmp3d.datasets.transforms.free_image import LoadFreeImage
from mmp3d.datasets.transforms.geometric import (
    RandomCropReconstruction,
    RandomFlipReconstruction,
    ShortestEdgeResize,
)
from mmp3d.datasets.transforms.loading import (
    LoadDepthMap,
    LoadPanopticMaps,
    LoadReconstructionImage,
    LoadRoomMask,
)
from mmp3d.datasets.transforms.targets import (
    MakeInstanceTargets,
    MakePlaneDepth,
    MakePlaneRoomMask,
)
from mmp3d.datasets.transforms.volume_loading import LoadFrustumMask, LoadVolumes

__all__ = [
    'DistortColours',
    'LoadDepthMap',
    'LoadFreeImage',
    'LoadFrustumMask',
    'LoadPanopticMaps',
    'LoadReconstructionImage',
    'LoadRoomMask',
    'LoadVolumes',
    'MakeInstanceTargets',
    'MakePlaneDepth',
    'MakePlaneRoomMask',
    'PackReconstructionInputs',
    'RandomCropReconstruction',
    'RandomFlipReconstruction',
    'ShortestEdgeResize',
]
