"""Tell checkpoints of ours from published ones before anything is built."""

from __future__ import annotations

from pathlib import Path

from mmp3d.fileio import read_checkpoint
from mmp3d.tao.spec import SpecError

_CONVERTER = 'projects/NvPanoptix3D/tools/convert_checkpoint.py'
_PUBLISHED = ('sem_seg_head.', 'completion.', 'aggregator.', 'projector.')


def check_converted(key: str, path: str | Path) -> None:
    """Raise unless a checkpoint's weights have our names.

    Args:
        key: Key of the spec that names the file, for the message.
        path: Checkpoint of a runner, or weights that were converted.

    Raises:
        FileNotFoundError: If there is no such file.
        SpecError: If it holds published weights; says how to convert them.
        CorruptFileError: If it is broken, encrypted or would run code.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{key}: no checkpoint at {path}')
    # Tensors stay on disk.
    names = [name.removeprefix('model.') for name in read_checkpoint(path)]
    if any(name.startswith(_PUBLISHED) for name in names):
        target = path.with_suffix('.safetensors').name
        raise SpecError(
            f'{key}: {path} holds published weights. Convert them once: '
            f'python {_CONVERTER} {path} {target}, and give {target}'
        )
