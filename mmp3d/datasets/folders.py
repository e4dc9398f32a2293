"""Find out what a folder or a config holds, for tools that walk whole datasets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmengine import Config

from mmp3d.datasets.front3d import Front3DDataset
from mmp3d.datasets.matterport3d import Matterport3DDataset
from mmp3d.datasets.reconstruction_dataset import ReconstructionDataset
from mmp3d.fileio import CorruptFileError, read_index, read_npz

SPLITS = ('train', 'val', 'test')
FRONT3D_LOADERS = (
    {'type': 'LoadReconstructionImage'},
    {'type': 'LoadDepthMap'},
    {'type': 'LoadPanopticMaps'},
    {'type': 'LoadVolumes'},
    {'type': 'LoadFrustumMask'},
)
MATTERPORT3D_LOADERS = (
    *FRONT3D_LOADERS[:3],
    {'type': 'LoadVolumes', 'stored_flipped': False},
    {'type': 'LoadFrustumMask', 'stored_flipped': False, 'stored_inverted': True},
    {'type': 'LoadRoomMask'},
)


def loaders_of(dataset_type: type[ReconstructionDataset]) -> tuple[dict, ...]:
    """The pipeline steps that read every file of a dataset as it is stored."""
    is_matterport = issubclass(dataset_type, Matterport3DDataset)
    return MATTERPORT3D_LOADERS if is_matterport else FRONT3D_LOADERS


def configs_of_folder(root: Path, splits: Sequence[str] = SPLITS) -> list[dict]:
    """Describe the splits that a folder has, with its own layout, grid and mask."""
    indices = [_index(root, split) for split in splits]
    present = [index for index in indices if (root / index).is_file()]
    # Without any index the dataset itself says what is expected.
    indices = present or indices[:1]
    is_matterport = (root / 'depth_gen').is_dir()
    dataset = Matterport3DDataset if is_matterport else Front3DDataset
    mask = 'meta/frustum_mask.npz'
    common = {
        'type': dataset.__name__,
        'data_root': str(root),
        'label_space': 'matterport3d' if is_matterport else 'front3d',
        'grid': _grid_of_first_volume(dataset, root, present),
        'frustum_mask_file': mask if (root / mask).is_file() else None,
        'pipeline': loaders_of(dataset),
    }
    return [{**common, 'ann_file': index} for index in indices]


def _index(root: Path, split: str) -> str:
    """NVIDIA's name of an index, or Uni-3D's where only that is there."""
    names = (f'meta/{split}.json', f'meta/{split}_3d.json')
    return next((name for name in names if (root / name).is_file()), names[0])


def _grid_of_first_volume(
    dataset_type: type[Front3DDataset] | type[Matterport3DDataset],
    root: Path,
    indices: Sequence[str],
) -> dict:
    for index in indices:
        dataset = dataset_type(str(root), index, lazy_init=True)
        try:
            records = read_index(root / index)
        except CorruptFileError:
            continue  # reported later, as are bad volumes
        for record in records:
            try:
                path = dataset.sample_files(record).geometry
                return {'dims': read_npz(path, 'data', ndim=3).shape}
            except (ValueError, FileNotFoundError):
                continue
    return {}


def configs_of_file(path: Path, splits: Sequence[str] = SPLITS) -> list[dict]:
    """Take the datasets of a config's data loaders."""
    config = Config.fromfile(path)
    names = [f'{split}_dataloader' for split in splits]
    return [config[name]['dataset'] for name in names if name in config]
