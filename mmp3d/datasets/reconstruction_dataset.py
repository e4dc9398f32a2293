"""From an index file to the record of each sample; what all datasets share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from mmengine.dataset import BaseDataset
from mmengine.logging import MMLogger

from mmp3d.datasets.pipeline_rules import refuse_untrue_volumes
from mmp3d.datasets.samplers import SeededIndex
from mmp3d.fileio import CorruptFileError, IndexRecord, read_index, read_json
from mmp3d.registry import TRANSFORMS
from mmp3d.structures import FrustumGrid, LabelSpace
from mmp3d.utils import nearest_name, seeded


@dataclass(frozen=True)
class SampleFiles:
    """The files of one sample.

    Attributes:
        image: RGB image.
        depth: z-depth (EXR, npy or PNG).
        panoptic: Class and instance id per pixel (npz).
        geometry: Distance volume (npz).
        segmentation: Class and instance id per voxel (npz).
        weighting: Loss weight per voxel (npz).
        frustum_mask: Voxels inside the frustum (npz), one for the whole dataset or one
            per image; ``None``: computed from the camera and the grid.
        intrinsics: Camera matrix (npy); ``None``: the dataset knows one for all.
        room_mask: Pixels of the room that the camera stands in (PNG); ``None``: the
            dataset has none.
    """

    image: Path
    depth: Path
    panoptic: Path
    geometry: Path
    segmentation: Path
    weighting: Path
    frustum_mask: Path | None = None
    intrinsics: Path | None = None
    room_mask: Path | None = None

    def named(self) -> dict[str, Path]:
        """Every file that there must be, by its role."""
        files = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: path for name, path in files.items() if path is not None}


class ReconstructionDataset(BaseDataset):
    """Images with depth, panoptic maps and voxel volumes.

    A dataset is a subclass that knows its paths and its camera. Every sample enters the
    pipeline as a dict with ``sample_id``, ``files`` (``SampleFiles``), ``img_path``,
    ``ori_shape`` (H, W of the files), ``target_size`` (H, W to load them at), ``K``
    (3x3 float64, pixels of ``ori_shape``), ``grid``, ``label_space`` and
    ``loss_weight``; in training also ``seed``, that of its random numbers.

    Args:
        data_root: Folder of the dataset.
        ann_file: Index of the split, a JSON list, below ``data_root``. NVIDIA names it
            ``meta/train.json``, Uni-3D ``meta/train_3d.json``; where the named one is
            missing, the other is read.
        pipeline: Transforms.
        grid: Parameters of ``FrustumGrid``. It travels with the samples; nobody else
            is told.
        label_space: Name of the ``LabelSpace``.
        target_size: (height, width) at which images, maps and depth are loaded;
            ``None``: as they are.
        frustum_mask_file: Voxels inside the frustum, below ``data_root``; ``None``:
            computed from the camera and the grid.
        skip_file: JSON list of the ids of samples to leave out, below ``data_root``.
            The only way to skip a sample.
        indices: Use only these samples, or only the first ones if it is a number.
        test_mode: Set in evaluation.
        lazy_init: Read the index at the first use, not now.

    Raises:
        FileNotFoundError: If the folder or the index is not there; says what is
            expected and how to get it.
        CorruptFileError: If the index or the skip list is broken or names unknown ids.
        ValueError: If the pipeline loads volumes and has a step that would leave them
            behind.
    """

    def __init__(
        self,
        data_root: str,
        ann_file: str,
        pipeline: Sequence[dict] = (),
        grid: dict | None = None,
        label_space: str = 'front3d',
        target_size: tuple[int, int] | None = None,
        frustum_mask_file: str | None = None,
        skip_file: str | None = None,
        indices: int | Sequence[int] | None = None,
        test_mode: bool = False,
        lazy_init: bool = False,
    ) -> None:
        self.grid = FrustumGrid(**({} if grid is None else grid))
        self.label_space = LabelSpace.named(label_space)
        self.target_size = None if target_size is None else tuple(target_size)
        self.frustum_mask_file = frustum_mask_file
        self.skip_file = skip_file
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix={},
            indices=indices,
            # Built here, not by mmengine, whose registry depends on a global scope.
            pipeline=[TRANSFORMS.build(step) for step in pipeline],
            test_mode=test_mode,
            lazy_init=lazy_init,
        )
        refuse_untrue_volumes(self.pipeline.transforms)
        self._metainfo.update(_metainfo(self.label_space, self.grid))

    @abstractmethod
    def how_to_get(self) -> str:
        """Say what is expected in ``data_root``, and where it comes from."""

    @abstractmethod
    def sample_files(self, record: IndexRecord) -> SampleFiles:
        """Name the files of one sample."""

    @abstractmethod
    def intrinsics(self, record: IndexRecord) -> Float64[np.ndarray, '3 3']:
        """Give K in pixels of the sample's files."""

    def load_data_list(self) -> list[dict]:
        """Read the index, less the skipped samples."""
        root = Path(self.data_root)
        if not root.is_dir():
            raise FileNotFoundError(
                f'{type(self).__name__}: the dataset folder {root} does not exist. '
                f'{self.how_to_get()}'
            )
        self.ann_file = _index_there_is(self.ann_file)
        if not Path(self.ann_file).is_file():
            raise FileNotFoundError(
                f'{type(self).__name__}: the index {self.ann_file} does not exist. '
                f'{self.how_to_get()}'
            )
        records = read_index(self.ann_file)
        skipped = self._read_skipped({record.sample_id for record in records})
        kept = [r for r in records if r.sample_id not in skipped]
        if not kept:
            raise CorruptFileError(
                self.ann_file, 'the index leaves no sample', 'Check the split.'
            )
        return [{'record': record} for record in kept]

    def _read_skipped(self, known: set[str]) -> set[str]:
        if self.skip_file is None:
            return set()
        path = Path(self.data_root) / self.skip_file
        skipped = read_json(path)
        if not isinstance(skipped, list) or not all(
            isinstance(name, str) for name in skipped
        ):
            raise CorruptFileError(path, 'expected a JSON list of sample ids')
        for name in skipped:
            if name not in known:
                raise CorruptFileError(
                    path,
                    f'unknown sample id {name!r}{nearest_name(name, known)}',
                    f'Ids are <scene_id>_<image_id> of {self.ann_file}.',
                )
        return set(skipped)

    def __getitem__(self, idx: int) -> dict:
        """Load a sample; a ``SeededIndex`` also fixes what is drawn at random."""
        if not isinstance(idx, SeededIndex):
            return super().__getitem__(idx)
        with seeded(idx.seed):
            return super().__getitem__(idx)

    def get_data_info(self, idx: int) -> dict:
        """Give the dict with which a sample enters the pipeline."""
        info = super().get_data_info(idx)
        record: IndexRecord = info.pop('record')
        files = self.sample_files(record)
        size = (record.height, record.width)
        info.update(
            sample_id=record.sample_id,
            files=files,
            img_path=str(files.image),
            ori_shape=size,
            target_size=self.target_size or size,
            K=self.intrinsics(record),
            grid=self.grid,
            label_space=self.label_space,
            loss_weight=1.0,
        )
        if isinstance(idx, SeededIndex):
            info['seed'] = idx.seed
        return info

    def _frustum_mask_path(self) -> Path | None:
        if self.frustum_mask_file is None:
            return None
        return Path(self.data_root) / self.frustum_mask_file


def _index_there_is(ann_file: str) -> str:
    """Give the index by the name that NVIDIA or Uni-3D gave it."""
    path = Path(ann_file)
    stem = path.stem
    twin = stem.removesuffix('_3d') if stem.endswith('_3d') else f'{stem}_3d'
    other = path.with_name(f'{twin}{path.suffix}')
    if path.is_file() or not other.is_file():
        return ann_file
    MMLogger.get_current_instance().info(f'{path} is not there; reading {other}')
    return str(other)


def _metainfo(label_space: LabelSpace, grid: FrustumGrid) -> dict:
    # Plain values only: checkpoints carry this and are read without unpickling classes.
    return {
        'label_space': label_space.name,
        'classes': label_space.classes,
        'palette': label_space.palette,
        'thing_classes': [label_space.classes[i] for i in label_space.thing_labels],
        'stuff_classes': [label_space.classes[i] for i in label_space.stuff_labels],
        'grid': asdict(grid),
    }
