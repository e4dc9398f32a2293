"""Weights on disk: read them without running anything, write them as safetensors."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mmp3d.fileio.errors import CorruptFileError, PathLike, existing_file
from mmp3d.fileio.paths import atomic_write

# What trainers store beside the weights. These names are never imported: whatever a
# file builds from them becomes an inert placeholder. Any other name is refused.
_BOOKKEEPING = (
    'argparse.',
    'builtins.getattr',
    'collections.',
    'detectron2.',
    'lightning.',
    'lightning_fabric.',
    'mmengine.',
    'numpy.',
    'nvidia_tao_',
    'omegaconf.',
    'pathlib.',
    'pytorch_lightning.',
    'torch.',
    'typing.',
)

# Under what trainers store the weights.
_WRAPPERS = ('state_dict', 'model')

_SAFETENSORS_NAMES = {
    torch.float64: 'F64',
    torch.float32: 'F32',
    torch.float16: 'F16',
    torch.bfloat16: 'BF16',
    torch.int64: 'I64',
    torch.int32: 'I32',
    torch.int16: 'I16',
    torch.int8: 'I8',
    torch.uint8: 'U8',
    torch.bool: 'BOOL',
}


class _Inert:
    """Stands for an object of a checkpoint that nobody reads; it does nothing."""

    def __init__(self, *args: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def read_checkpoint(path: PathLike) -> dict[str, Tensor]:
    """Read the weights of a checkpoint: safetensors, or a file of ``torch.save``.

    Wrappers of Lightning and mmengine (``state_dict``) and of Detectron2 (``model``)
    are taken off; names are not changed. No object of the file is ever executed: a file
    that names code outside the usual bookkeeping of trainers is refused. Tensors of
    zip-based torch files and of safetensors stay mapped to the file, so reading costs
    no memory until they are used.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If the file is broken, encrypted, malicious, or holds no
            state dict.
    """
    path = existing_file(path)
    if _looks_like_safetensors(path):
        try:
            return load_file(path)
        except SafetensorError as error:
            problem = f'not a readable safetensors file ({error})'
            raise CorruptFileError(path, problem) from error
    return _state_dict(path, _load_torch(path))


def write_safetensors(
    path: PathLike, state: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Write weights as safetensors, one tensor at a time, complete or not at all.

    The same weights and metadata always give the same bytes.

    Args:
        path: File to write.
        state: Tensors by name, on any device; fetched one after the other.
        metadata: Strings for the header, such as the origin of the weights.

    Raises:
        ValueError: If a tensor is of a kind that the format does not know.
    """
    header: dict[str, dict] = {'__metadata__': dict(sorted(metadata.items()))}
    # Wide types first keeps every tensor aligned.
    order = sorted(state, key=lambda name: (-state[name].element_size(), name))
    offset = 0
    for name in order:
        tensor = state[name]
        if tensor.dtype not in _SAFETENSORS_NAMES:
            raise ValueError(
                f'tensor {name!r} of {path} is {tensor.dtype}; safetensors stores '
                f'{sorted(map(str, _SAFETENSORS_NAMES))}. Convert it first.'
            )
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {
            'dtype': _SAFETENSORS_NAMES[tensor.dtype],
            'shape': list(tensor.shape),
            'data_offsets': [offset, end],
        }
        offset = end
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)
    with atomic_write(path) as temporary, open(temporary, 'wb') as file:
        file.write(len(text).to_bytes(8, 'little'))
        file.write(text)
        for name in order:
            flat = state[name].detach().cpu().contiguous().reshape(-1)
            file.write(memoryview(flat.view(torch.uint8).numpy()))


def _looks_like_safetensors(path: Path) -> bool:
    if path.suffix == '.safetensors':
        return True
    with open(path, 'rb') as file:
        return file.read(9)[8:] == b'{'


def _load_torch(path: Path) -> object:
    mapped = zipfile.is_zipfile(path)
    try:
        placeholders = _placeholders(path) if mapped else []
        with torch.serialization.safe_globals(placeholders):
            return torch.load(path, 'cpu', weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        named = re.search(r'GLOBAL (\S+)', str(error))
        reason = f'it names {named.group(1)}' if named else 'it is no torch file'
        raise CorruptFileError(
            path,
            f'not a file of plain weights ({reason})',
            'Save its state dict alone, with a torch of version 1.6 or newer, or as '
            'safetensors.',
        ) from error
    except CorruptFileError:
        raise
    except (RuntimeError, EOFError, OSError, KeyError, ValueError) as error:
        reason = str(error).split('\n')[0] or 'it ends too early'
        raise CorruptFileError(path, f'not a readable checkpoint ({reason})') from error


def _placeholders(path: Path) -> list[tuple[type[_Inert], str]]:
    """Inert stand-ins for the bookkeeping objects that a file names."""
    names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    foreign = [name for name in sorted(names) if not name.startswith(_BOOKKEEPING)]
    if foreign:
        raise CorruptFileError(
            path,
            f'loading it would run foreign code ({", ".join(foreign)}), so it was not '
            'loaded',
            'Do not open it with other tools either, unless you trust where it comes '
            'from; ask its author for safetensors, or for the bare state dict.',
        )
    # One class per name: torch looks them up by class.
    return [(type('Inert', (_Inert,), {}), name) for name in sorted(names)]


def _state_dict(path: Path, content: object) -> dict[str, Tensor]:
    if isinstance(content, Mapping) and 'state_dict_encrypted' in content:
        raise CorruptFileError(
            path,
            'encrypted by NVIDIA TAO (it holds state_dict_encrypted)',
            'Save it without an encryption key in TAO first, then convert it.',
        )
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    if not isinstance(content, Mapping):
        raise CorruptFileError(
            path, f'expected a state dict, found a {type(content).__name__}'
        )
    foreign = [k for k, value in content.items() if not isinstance(value, Tensor)]
    if foreign or not content:
        found = f'entries that are no tensors: {foreign[:5]}' if foreign else 'nothing'
        raise CorruptFileError(
            path,
            f'expected a state dict (names to tensors), alone or under state_dict, '
            f'found {found}',
            'Name the file that holds the weights of the model.',
        )
    return {str(name): tensor.detach() for name, tensor in content.items()}
