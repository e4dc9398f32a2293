"""Specs of NVIDIA TAO as values by dotted key: read, override, check."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import yaml

from mmp3d.fileio import CorruptFileError

# Not recursive: the checker of annotations in tests cannot follow that.
Value: TypeAlias = (
    bool | int | float | str | Sequence[object] | Mapping[str, object] | None
)


class SpecError(ValueError):
    """A spec says something that cannot be done here."""


@dataclass(frozen=True)
class Spec:
    """The values of a spec file and of the command line.

    Attributes:
        given: Value by dotted key, such as ``train.optim.lr``; what is absent has its
            documented default.
        source: Where it came from, for messages.
    """

    given: dict[str, Value] = field(default_factory=dict)
    source: str = 'spec'

    def with_overrides(self, overrides: Sequence[str]) -> Spec:
        """Give the spec with ``key=value`` strings laid over it.

        Values are read as YAML. Hydra's leading ``+`` is ignored.

        Raises:
            SpecError: If a string is not of that form.
        """
        values = dict(self.given)
        for text in overrides:
            name, equals, value = text.partition('=')
            if not equals or not name.strip('+ '):
                raise SpecError(
                    f'expected key=value, such as train.num_gpus=2, got {text!r}'
                )
            values.update(_flatten(name.strip('+ '), _read_value(name, value)))
        return Spec(values, self.source)

    def unknown(self, known: Iterable[str]) -> list[str]:
        """Give the keys that the documentation does not have."""
        return sorted(set(self.given) - set(known))


def read_spec(path: str | Path) -> Spec:
    """Read a YAML or JSON spec.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If it is neither, or no mapping of keys to values.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no spec at {path}')
    text = path.read_text(encoding='utf-8')
    try:
        is_json = path.suffix == '.json'
        content = json.loads(text) if is_json else yaml.safe_load(text)
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        raise CorruptFileError(
            path, f'not a readable YAML or JSON file ({error})', 'Correct the spec.'
        ) from error
    if not isinstance(content, dict):
        raise CorruptFileError(
            path,
            f'expected sections such as dataset and model, got {content!r:.80}',
            'See docs/coming_from_tao.md for a sample.',
        )
    return Spec(_flatten('', content), str(path))


def refuse_unknown(spec: Spec, known: Sequence[str]) -> None:
    """Raise unless every key of a spec is a documented one.

    Raises:
        SpecError: Names each unknown key with the nearest known one.
    """
    unknown = spec.unknown(known)
    if unknown:
        lines = [f'  {name}: {_nearest(name, known)}' for name in unknown]
        raise SpecError(
            f'{spec.source}: unknown keys, nothing was converted\n' + '\n'.join(lines)
        )


def coerced(name: str, value: Value, default: Value) -> Value:
    """Bring a value to the kind of its documented default.

    YAML reads ``1e-4`` as a string; whole numbers stand for floats and 0 and 1 for
    booleans.

    Raises:
        SpecError: If it is of another kind.
    """
    if value is None or default is None or type(value) is type(default):
        return value
    kind = type(default)
    if kind is bool and value in (0, 1):
        return bool(value)
    if kind in (int, float) and isinstance(value, int | float | str):
        try:
            number = float(value)
        except ValueError:
            number = None
        if number is not None and not isinstance(value, bool):
            if kind is float:
                return number
            if number == int(number):
                return int(number)
    if kind is list and isinstance(value, list | tuple | int | float | str):
        return list(value) if isinstance(value, list | tuple) else [value]
    if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise SpecError(
        f'{name} must be of the kind {kind.__name__} (default {default!r}), got '
        f'{value!r}'
    )


def _flatten(prefix: str, value: Value) -> dict[str, Value]:
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Value] = {}
    for key, item in value.items():
        flat.update(_flatten(f'{prefix}.{key}' if prefix else str(key), item))
    return flat


def _read_value(name: str, text: str) -> Value:
    try:
        return yaml.safe_load(text) if text.strip() else ''
    except yaml.YAMLError as error:
        raise SpecError(f'the value of {name} is not readable: {text!r}') from error


def _nearest(name: str, known: Sequence[str]) -> str:
    sections = {k.rsplit('.', i)[0] for k in known for i in range(1, k.count('.') + 1)}
    if name in sections:
        return 'is a section; give the keys below it'
    leaf = name.rsplit('.', 1)[-1]
    same_leaf = [k for k in known if k.rsplit('.', 1)[-1] == leaf]
    close = difflib.get_close_matches(name, same_leaf or list(known), n=1, cutoff=0.0)
    return f'did you mean {close[0]}?'
