"""Read every file of a dataset and tell what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence

from mmcv.transforms import BaseTransform
from torch.utils.data import Dataset

from mmp3d.datasets.reconstruction_dataset import ReconstructionDataset
from mmp3d.fileio import CorruptFileError
from mmp3d.registry import TRANSFORMS

# What loaders raise for a file. Everything else is a fault of ours and is not caught.
_FILE_ERRORS = (CorruptFileError, FileNotFoundError, PermissionError)


class FileChecks(Dataset):
    """The problems of each sample of a dataset, as a list of messages.

    Args:
        dataset: Names the files; its own pipeline is not run.
        pipeline: The steps whose type begins with 'Load' are run, each file by itself.
    """

    def __init__(
        self, dataset: ReconstructionDataset, pipeline: Sequence[dict]
    ) -> None:
        self.dataset = dataset
        self.loaders = one_loader_per_file(pipeline)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> list[str]:
        """Load one sample, file by file, and collect what is wrong."""
        try:
            results = self.dataset.get_data_info(index)
        except _FILE_ERRORS as error:  # of the camera
            return [str(error)]
        results['img_shape'] = results['target_size']  # also where the image is broken
        problems = []
        for loader in self.loaders:
            try:
                loader.transform(results)
            except _FILE_ERRORS as error:
                problems.append(str(error))
        return problems


def one_loader_per_file(pipeline: Sequence[dict]) -> list[BaseTransform]:
    """Pick the loading steps of a pipeline, so that one bad file does not hide another.

    Raises:
        ValueError: If there is none.
    """
    loaders = []
    for step in pipeline:
        if not step['type'].startswith('Load'):
            continue
        volumes = TRANSFORMS.build(step).volumes if _reads_volumes(step) else (None,)
        for name in volumes:
            alone = step if name is None else {**step, 'volumes': (name,)}
            if 'cache_dir' in alone:
                alone = {**alone, 'cache_dir': None}  # the files, not their copies
            loaders.append(TRANSFORMS.build(alone))
    if not loaders:
        types = [step['type'] for step in pipeline]
        raise ValueError(f'expected a pipeline with loading steps, got {types}')
    return loaders


def _reads_volumes(step: dict) -> bool:
    return step['type'] == 'LoadVolumes'
