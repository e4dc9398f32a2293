"""Convert published weights to ours, and back.

Recognises NVIDIA's stage-1 and stage-2 checkpoints of NVPanoptix3D (Lightning files)
and Meta's VGGT-1B. Every tensor is accounted for: taken, dropped for a named reason, or
an error. Beside the weights, ``OUT.json`` says where they come from.

    python projects/NvPanoptix3D/tools/convert_checkpoint.py IN OUT.safetensors
    python projects/NvPanoptix3D/tools/convert_checkpoint.py OURS OUT.pth --reverse

Weights keep the licence of their origin.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from mmengine.config import Config
from torch import Tensor

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from mmp3d import __version__  # noqa: E402
from mmp3d.fileio import (  # noqa: E402
    atomic_write,
    read_checkpoint,
    write_json,
    write_safetensors,
)
from mmp3d.registry import MODELS  # noqa: E402
from projects.NvPanoptix3D.nvpanoptix3d.checkpoint_keys import (  # noqa: E402
    ConvertedState,
    to_ours,
    to_published,
)

Shapes = Mapping[str, tuple[int, ...]]

STAGE_1, STAGE_2, VGGT, OURS = 'NVIDIA stage 1', 'NVIDIA stage 2', 'VGGT', 'ours'
# Wrappers of trainers and compilers around the model.
_WRAPPERS = re.compile(r'^(?:(?:model|module|_orig_mod)\.)+')
# What Meta's file holds of our model; the rest starts from random numbers.
_VGGT_PARTS = ('backbone.aggregator.', 'backbone.camera_head.', 'backbone.depth_head.')
# Parts that a config may switch off.
_OPTIONAL_PARTS = ('backbone.camera_head.', 'panoptic_head.plane_occupancy.')


class ConversionError(ValueError):
    """Some tensors of a checkpoint are not accounted for."""


@dataclass
class Conversion:
    """A converted state dict, and where every tensor went.

    Attributes:
        kind: What the file was recognised as.
        state: Tensors under their new names.
        dropped: Old name -> why nothing reads it.
        reshaped: New name -> shapes before and after a change of layout.
        initialised: Names of our model that this kind of file does not hold.
        problems: Everything unexplained, one line each.
    """

    kind: str
    state: dict[str, Tensor] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    reshaped: dict[str, tuple[list[int], list[int]]] = field(default_factory=dict)
    initialised: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(
        self, name: str, tensor: Tensor, converted: ConvertedState, prefix: str = ''
    ) -> None:
        """Note what became of one tensor."""
        if converted.unknown:
            self.problems.append(f'unknown name: {name} {tuple(tensor.shape)}')
        for reason in converted.dropped.values():
            self.dropped[name] = reason
        for new, result in converted.state.items():
            new = prefix + new
            if new in self.state:
                self.problems.append(f'two tensors become {new}: {name} is the second')
            if result is not tensor:
                self.reshaped[new] = list(tensor.shape), list(result.shape)
            self.state[new] = result

    def report(self) -> str:
        """Say in plain lines what happened."""
        lines = [f'recognised as: {self.kind}', f'taken: {len(self.state)} tensors']
        for reason, count in Counter(self.dropped.values()).items():
            lines.append(f'dropped: {count} tensors ({reason})')
        lines.append(f'changed in layout: {len(self.reshaped)} tensors')
        if self.initialised:
            lines.append(f'not in such a file: {len(self.initialised)} tensors of ours')
        lines.append(f'unexplained: {len(self.problems)}')
        return '\n'.join(lines + [f'  {problem}' for problem in self.problems])


def recognise(state: Mapping[str, Tensor]) -> str:
    """Tell what a state dict is by its names.

    Raises:
        ConversionError: If it is nothing that can be converted.
    """
    names = {bare_name(name) for name in state}
    if any(
        name.startswith('completion.') and name.endswith('kernel') for name in names
    ):
        raise ConversionError(
            "these weights are Uni-3D's, which fit no model here: its backbone is a "
            'ResNet-50, and its sparse norms have weights; see '
            'docs/coming_from_uni3d.md'
        )
    for kind, prefix in (
        (STAGE_2, 'completion.'),
        (STAGE_1, 'sem_seg_head.'),
        (VGGT, 'aggregator.'),
        (OURS, 'panoptic_head.'),
    ):
        if any(name.startswith(prefix) for name in names):
            return kind
    raise ConversionError(
        "neither NVIDIA's NVPanoptix3D nor Meta's VGGT nor ours: the first names are "
        f'{sorted(state)[:5]}'
    )


def bare_name(name: str) -> str:
    """Take the wrappers' prefixes off, such as ``model.`` of Lightning."""
    return _WRAPPERS.sub('', name)


def default_config(state: Mapping[str, Tensor]) -> Path:
    """Name the config of the full-size model that published weights are for."""
    name = 'stage1_front3d'
    if recognise(state) == STAGE_2:
        # Only 3D-Front's model decodes coarse inputs, too.
        coarse = any('completion.feature_adapters.' in name for name in state)
        name = 'stage2_front3d' if coarse else 'stage2_matterport3d'
    return ROOT / 'configs' / 'nvpanoptix3d' / f'nvpanoptix3d_vggt-l_{name}.py'


def convert(state: Mapping[str, Tensor], expected: Shapes | None) -> Conversion:
    """Translate published weights to ours.

    Args:
        state: The state dict as published, prefixes included.
        expected: Shapes of our model by name; ``None`` to leave out the comparison.

    Raises:
        ConversionError: If the weights are ours already.
    """
    kind = recognise(state)
    if kind == OURS:
        raise ConversionError('these weights are ours already; --reverse converts back')
    result = Conversion(kind)
    for name, tensor in state.items():
        bare = bare_name(name)
        if bare.startswith('criterion.'):
            result.dropped[name] = 'class weights of the loss, which the config gives'
            continue
        result.add(name, tensor, to_ours({bare: tensor}))
    if expected is not None:
        _compare(result, expected)
    return result


def convert_back(state: Mapping[str, Tensor]) -> Conversion:
    """Translate our weights to NVIDIA's names and layouts.

    Published tensors that nothing reads are not kept by ours and so are absent.

    Raises:
        ConversionError: If the weights are not ours.
    """
    if recognise(state) != OURS:
        raise ConversionError('--reverse expects weights of ours with a panoptic_head')
    result = Conversion(OURS)
    for name, tensor in state.items():
        result.add(name, tensor, to_published({name: tensor}), prefix='model.')
    return result


def expected_shapes(config: Path) -> dict[str, tuple[int, ...]]:
    """Build a config's model without memory and give the shapes of its tensors."""
    with torch.device('meta'):
        model = MODELS.build(Config.fromfile(config).model)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _compare(result: Conversion, expected: Shapes) -> None:
    for name in sorted(set(expected) - set(result.state)):
        if result.kind == VGGT and not name.startswith(_VGGT_PARTS):
            result.initialised.append(name)
        else:
            result.problems.append(f'missing: {name}')
    for part in _OPTIONAL_PARTS:
        if any(name.startswith(part) for name in expected):
            continue
        for name in [name for name in result.state if name.startswith(part)]:
            del result.state[name]
            result.dropped[name] = f'{part[:-1]} is switched off in this config'
    for name, tensor in result.state.items():
        shape = tuple(tensor.shape)
        if name not in expected:
            result.problems.append(f'unexpected: {name} {shape}')
        elif shape != tuple(expected[name]):
            result.problems.append(
                f'shape: {name} is {shape}, our model has {tuple(expected[name])}'
            )


def _digest(path: Path) -> dict[str, str | int]:
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(1 << 22):
            digest.update(chunk)
    return {
        'name': path.name,
        'bytes': path.stat().st_size,
        'sha256': digest.hexdigest(),
    }


def write_converted(result: Conversion, source: Path, target: Path) -> None:
    """Write the weights and, beside them, ``OUT.json`` with their provenance.

    Tensors are written one after the other. Those of a zip-based torch file or of
    safetensors are mapped, so that the peak of memory is about the size of the file.
    """
    if target.suffix == '.pth':
        with atomic_write(target) as temporary:
            torch.save({'state_dict': result.state}, temporary)
    else:
        write_safetensors(target, result.state, {'converted_from': source.name})
    provenance = {
        'source': _digest(source),
        'recognised_as': result.kind,
        'output': _digest(target),
        'taken': len(result.state),
        'dropped': dict(sorted(result.dropped.items())),
        'changed_in_layout': result.reshaped,
        'not_in_such_a_file': result.initialised,
        'mmp3d': __version__,
        'licence': 'that of the source',
    }
    write_json(target.with_name(target.name + '.json'), provenance)


def main(arguments: list[str] | None = None) -> None:
    """Convert one file; ends with status 1 if anything is unexplained."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', type=Path, metavar='IN')
    parser.add_argument('target', type=Path, metavar='OUT')
    parser.add_argument('--reverse', action='store_true', help='from ours to NVIDIA')
    parser.add_argument(
        '--config',
        type=Path,
        help='compare with this model (default: full size, the one that fits)',
    )
    options = parser.parse_args(arguments)
    try:
        state = read_checkpoint(options.source)
        if options.reverse:
            result = convert_back(state)
        else:
            config = options.config or default_config(state)
            result = convert(state, expected_shapes(config))
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    print(result.report())
    if result.problems:
        sys.exit(f'{options.source}: not converted, {options.target} was not written')
    write_converted(result, options.source, options.target)
    print(f'written: {options.target} and {options.target}.json')


if __name__ == '__main__':
    main()
