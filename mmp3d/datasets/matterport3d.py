"""Matterport3D as P3D, BUOL and Uni-3D prepared it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from mmp3d.datasets.front3d import Front3DDataset
from mmp3d.datasets.reconstruction_dataset import ReconstructionDataset, SampleFiles
from mmp3d.fileio import CorruptFileError, IndexRecord, read_npy, safe_join
from mmp3d.geometry import scale_intrinsics
from mmp3d.registry import DATASETS

# The stored cameras are for images of this (height, width).
_K_SIZE = (240, 320)


@dataclass(frozen=True)
class MatterportImage:
    """The parts of an image id ``<name>_<angle>_<rotation>``.

    Attributes:
        name: Position of the panorama.
        angle: Number of the camera on the tripod.
        rotation: Number of the tripod's rotation.
    """

    name: str
    angle: str
    rotation: str

    @classmethod
    def parse(cls, image_id: str) -> MatterportImage:
        """Split an image id.

        Raises:
            ValueError: If it has not exactly three parts.
        """
        parts = image_id.split('_')
        if len(parts) != 3 or not all(parts):
            raise ValueError(
                'expected an image_id <name>_<angle>_<rotation> of exactly three '
                f'parts, got {image_id!r}'
            )
        return cls(*parts)

    @property
    def view(self) -> str:
        """What tells apart the images of one position."""
        return f'{self.angle}_{self.rotation}'


@DATASETS.register_module()
class Matterport3DDataset(ReconstructionDataset):
    """Matterport3D, or SynthRooms in the same layout.

    Below ``data_root``: ``meta/{train,val,test}.json``; for each image with the id
    ``<name>_<angle>_<rotation>``, in ``data/<scene>/``: ``<name>_i<angle>_<rotation>
    .jpg``, ``<name>_segmap<...>.mapped.npz``, ``<name>_intrinsics_<angle>.npy``,
    ``<name>_geometry<...>.npz`` (``data`` and ``mask``, the voxels that are not valid),
    ``<name>_segmentation<...>.mapped.npz``, ``<name>_weighting<...>.npz``; in
    ``depth_gen/<scene>/``: ``<name>_d<...>.png`` (4000 units per metre); in
    ``room_mask/<scene>/``: ``<name>_rm<...>.png``. Volumes follow the camera.

    Each image has its camera and its frustum mask; ``frustum_mask_file`` replaces the
    masks of the images by one for all.

    Source: Dahnert et al., Panoptic 3D Scene Reconstruction From a Single RGB Image,
    NeurIPS 2021; Chu et al., BUOL, CVPR 2023 (depth and room masks).
    """

    def how_to_get(self) -> str:
        """Say what is expected in ``data_root``, and where it comes from."""
        return (
            'Expected below data_root: meta/{train,val,test}.json (lists of scene_id, '
            'image_id <name>_<angle>_<rotation>, height, width), data/<scene_id>/, '
            'depth_gen/<scene_id>/ and room_mask/<scene_id>/. Ask the authors of '
            'github.com/xheon/panoptic-reconstruction for the volumes, take depth_gen '
            'and room_mask from github.com/chtsy/buol, and put or link them there, or '
            'generate rooms of the same layout: python '
            'tools/dataset_converters/make_synthrooms.py --layout matterport --out '
            f'{self.data_root} --grid {self.grid.dims[0]} --train 1000 --val 100 '
            '--test 100.'
        )

    def load_data_list(self) -> list[dict]:
        """Read the index and check the image ids."""
        data_list = super().load_data_list()
        for entry in data_list:
            try:
                MatterportImage.parse(entry['record'].image_id)
            except ValueError as error:
                raise CorruptFileError(
                    self.ann_file, str(error), 'Is this an index of Matterport3D?'
                ) from error
        return data_list

    def sample_files(self, record: IndexRecord) -> SampleFiles:
        """Name the files of one sample."""
        root, scene = Path(self.data_root), record.scene_id
        folder = root / 'data' / scene
        image = MatterportImage.parse(record.image_id)
        name, view = image.name, image.view
        rgb = folder / f'{name}_i{view}.jpg'
        if record.file_name is not None:
            rgb = safe_join(root, record.file_name)
        geometry = folder / f'{name}_geometry{view}.npz'
        return SampleFiles(
            image=rgb,
            depth=root / 'depth_gen' / scene / f'{name}_d{view}.png',
            panoptic=folder / f'{name}_segmap{view}.mapped.npz',
            geometry=geometry,
            segmentation=folder / f'{name}_segmentation{view}.mapped.npz',
            weighting=folder / f'{name}_weighting{view}.npz',
            frustum_mask=self._frustum_mask_path() or geometry,
            intrinsics=folder / f'{name}_intrinsics_{image.angle}.npy',
            room_mask=root / 'room_mask' / scene / f'{name}_rm{view}.png',
        )

    @staticmethod
    def default_camera() -> tuple[Float64[np.ndarray, '3 3'], tuple[int, int]]:
        """K for an image of unknown camera, and the (height, width) it is for.

        There is no camera that all images share; as published, 3D-Front's is taken.
        """
        return Front3DDataset.default_camera()

    def intrinsics(self, record: IndexRecord) -> Float64[np.ndarray, '3 3']:
        """Read K, in pixels of the sample's files.

        Raises:
            FileNotFoundError: If there is no camera file.
            CorruptFileError: If it does not hold a camera matrix of 16 numbers.
        """
        path = self.sample_files(record).intrinsics
        numbers = read_npy(path, kinds='iuf').astype(np.float64).reshape(-1)
        K = numbers.reshape(4, 4)[:3, :3] if numbers.size == 16 else numbers
        if K.shape != (3, 3) or not np.isfinite(K).all() or K[0, 0] * K[1, 1] <= 0:
            raise CorruptFileError(
                path,
                'expected 16 numbers of a 4x4 camera matrix with positive focal '
                f'lengths, got {numbers.tolist()}',
            )
        size = (record.height, record.width)
        return scale_intrinsics(K, _K_SIZE, size, corner_aligned=True)
