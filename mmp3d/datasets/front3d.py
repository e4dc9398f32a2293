"""3D-Front as P3D and Uni-3D publish it, and everything with the same layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float64

from mmp3d.datasets.reconstruction_dataset import ReconstructionDataset, SampleFiles
from mmp3d.fileio import IndexRecord, safe_join
from mmp3d.geometry import scale_intrinsics
from mmp3d.registry import DATASETS

# One camera for all images, in pixels of 240 x 320.
_K = np.array([[277.1281435, 0, 159.5], [0, 277.1281435, 119.5], [0, 0, 1]])
_K_SIZE = (240, 320)


@DATASETS.register_module()
class Front3DDataset(ReconstructionDataset):
    """3D-Front, or SynthRooms in the same layout.

    Below ``data_root``: ``meta/{train,val,test}.json``, and for each image ``<id>`` in
    ``data/<scene>/``: ``rgb_<id>.png``, ``depth_<id>.exr`` (metres),
    ``segmap_<id>.mapped.npz``, ``geometry_<id>.npz``, ``segmentation_<id>.mapped.npz``
    and ``weighting_<id>.npz``. Volumes are stored rotated by 180 degrees about the
    optical axis; ``LoadVolumes`` turns them.

    Source: Dahnert et al., Panoptic 3D Scene Reconstruction From a Single RGB Image,
    NeurIPS 2021.
    """

    def how_to_get(self) -> str:
        """Say what is expected in ``data_root``, and where it comes from."""
        return (
            'Expected below data_root: meta/{train,val,test}.json (lists of scene_id, '
            'image_id, height, width) and data/<scene_id>/ with rgb_<id>.png, '
            'depth_<id>.exr, segmap_<id>.mapped.npz, geometry_<id>.npz, '
            'segmentation_<id>.mapped.npz, weighting_<id>.npz. Get 3D-Front by the '
            'instructions of github.com/xheon/panoptic-reconstruction and put or link '
            'it there, or generate rooms of the same layout: python '
            f'tools/dataset_converters/make_synthrooms.py --out {self.data_root} '
            f'--grid {self.grid.dims[0]} --train 1000 --val 100 --test 100.'
        )

    def sample_files(self, record: IndexRecord) -> SampleFiles:
        """Name the files of one sample."""
        folder = Path(self.data_root) / 'data' / record.scene_id
        name = record.image_id
        image = folder / f'rgb_{name}.png'
        if record.file_name is not None:
            image = safe_join(self.data_root, record.file_name)
        return SampleFiles(
            image=image,
            depth=folder / f'depth_{name}.exr',
            panoptic=folder / f'segmap_{name}.mapped.npz',
            geometry=folder / f'geometry_{name}.npz',
            segmentation=folder / f'segmentation_{name}.mapped.npz',
            weighting=folder / f'weighting_{name}.npz',
            frustum_mask=self._frustum_mask_path(),
        )

    @staticmethod
    def default_camera() -> tuple[Float64[np.ndarray, '3 3'], tuple[int, int]]:
        """K for an image of unknown camera, and the (height, width) it is for."""
        return _K.copy(), _K_SIZE

    def intrinsics(self, record: IndexRecord) -> Float64[np.ndarray, '3 3']:
        """Give K in pixels of the sample's files."""
        size = (record.height, record.width)
        return scale_intrinsics(_K, _K_SIZE, size, corner_aligned=True)
