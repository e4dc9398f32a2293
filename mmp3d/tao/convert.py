"""From a spec to one of our configs: a base, and what differs from it."""

from __future__ import annotations

import os
import pprint
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

import mmp3d
from mmp3d.tao.dataset_keys import DATASET_KEYS, NAMES
from mmp3d.tao.draft import MAPPED, NO_EFFECT, UNSUPPORTED, Draft, Key
from mmp3d.tao.model_keys import MODEL_KEYS
from mmp3d.tao.run_keys import EXPORT_KEYS, RUN_KEYS, WANDB_KEYS
from mmp3d.tao.spec import Spec, SpecError, Value, refuse_unknown
from mmp3d.tao.train_keys import TRAIN_KEYS

CONFIGS = Path(mmp3d.__file__).resolve().parents[1] / 'configs'

# Every documented key. Order matters where two keys set one value: the later wins.
_ALL = (
    *RUN_KEYS,
    *DATASET_KEYS,
    *MODEL_KEYS,
    *TRAIN_KEYS,
    *WANDB_KEYS,
    *EXPORT_KEYS,
)
KEYS: dict[str, Key] = {key.name: key for key in _ALL}

_WIDTH = 88


@dataclass(frozen=True)
class KeyReport:
    """What became of one key.

    Attributes:
        key: The key.
        value: What the spec says, or the default.
        given: Whether the spec says it.
        outcome: One line.
    """

    key: Key
    value: Value
    given: bool
    outcome: str

    def __str__(self) -> str:
        origin = '' if self.given else ' (default)'
        return f'{self.key.name} = {self.value!r}{origin}: {self.outcome}'


@dataclass(frozen=True)
class Conversion:
    """A converted spec.

    Attributes:
        config: The whole config.
        base: File, seen from ``configs/``, that the written config builds on.
        reports: One for every documented key.
        draft: The values, for those who read what is not in the config.
    """

    config: Config
    base: str
    reports: tuple[KeyReport, ...]
    draft: Draft

    def report(self) -> str:
        """Say in plain lines what became of every key."""
        lines = [str(report) for report in self.reports]
        for status in (MAPPED, NO_EFFECT, UNSUPPORTED):
            given = [
                r.key.name for r in self.reports if r.given and r.key.status == status
            ]
            names = '' if status == MAPPED or not given else f': {", ".join(given)}'
            lines.append(f'given, {status}: {len(given)}{names}')
        return '\n'.join(lines)

    def text(self, path: str | Path) -> str:
        """Write the config as text for a file at ``path``."""
        folder = Path(path).resolve().parent
        base = os.path.relpath(CONFIGS / self.base, folder)
        before = plain(_read(CONFIGS / self.base))
        changes = difference(plain(self.config._cfg_dict), before)
        source = Path(self.draft.spec.source).name
        lines = [f'# Made from {source} by tools/tao_spec.py.']
        lines.append(_assignment('_base_', [base]))
        lines += [_assignment(name, value) for name, value in changes.items()]
        return '\n'.join(lines) + '\n'


def convert(
    spec: Spec, action: str = 'train', base: str | Path | None = None
) -> Conversion:
    """Turn a spec into a config.

    Args:
        spec: The values.
        action: Whose keys are read: 'train', 'evaluate', 'inference' or 'export'.
        base: Another config to build on. Keys that the spec leaves out then keep that
            config's values. ``None``: the published model, with documented defaults.

    Raises:
        SpecError: If a key is unknown, or its value cannot be had here.
    """
    refuse_unknown(spec, list(KEYS))
    defaults = {name: key.default for name, key in KEYS.items()}
    draft = Draft(spec, defaults, {}, action, only_given=base is not None)
    if base is None:
        chosen, draft.config = _published_base(draft)
    else:
        path = Path(base).resolve()
        chosen = os.path.relpath(path, CONFIGS)
        draft.config = plain(_read(path))
    reports = tuple(_apply(draft, key) for key in KEYS.values())
    return Conversion(Config(draft.config), chosen, reports, draft)


def _apply(draft: Draft, key: Key) -> KeyReport:
    given = draft.is_given(key.name)
    draft.notes.clear()
    if key.status != MAPPED:
        outcome = f'{key.status}, because {key.becomes}'
        if key.status == NO_EFFECT:
            outcome = f'{key.status} ({key.becomes})'
        return KeyReport(key, _value(draft, key), given, outcome)
    value = _value(draft, key)
    if key.action not in (None, draft.action):
        draft.note(f'read by {key.action} only')
    elif key.stage > draft.stage:
        draft.note('stage 2 only')
    elif draft.only_given and not given:
        draft.note("the base config's value")
    else:
        try:
            key.apply(draft, value)
        except SpecError as error:
            raise SpecError(f'{key.name}: {error}') from error
    return KeyReport(key, value, given, '; '.join(draft.notes) or 'nothing to change')


def _value(draft: Draft, key: Key) -> Value:
    return draft[key.name]


def _published_base(draft: Draft) -> tuple[str, dict]:
    name, stage = draft['dataset.name'], 2 if draft['dataset.enable_3d'] else 1
    if name not in NAMES:
        raise SpecError(
            f'dataset.name={name!r} is not supported here: expected one of '
            f"{list(NAMES)}. NVIDIA's implementation refuses synthetic_hospital and "
            'synthetic_warehouse too, and their layout is not published; write such '
            'images in the layout of 3D-Front and use front3d'
        )
    base = f'nvpanoptix3d/nvpanoptix3d_vggt-l_stage{stage}_{NAMES[name]}.py'
    return base, plain(_read(CONFIGS / base))


def _read(path: Path) -> dict:
    # What it imports is needed to run a config, not to write one.
    return Config.fromfile(path, import_custom_modules=False)._cfg_dict


def plain(value: Value) -> Value:
    """Copy nested containers to dicts, lists and tuples that share nothing."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(plain(item) for item in value)
    return value


def difference(new: dict, old: dict) -> dict:
    """What a config file must say on top of ``old`` to mean ``new``."""
    changes = {}
    for key, value in new.items():
        before = old.get(key)
        if key in old and value == before and type(value) is type(before):
            continue
        if isinstance(value, dict) and isinstance(before, dict):
            if set(before) - set(value) or value.get('type') != before.get('type'):
                value = {'_delete_': True, **value}
            else:
                value = difference(value, before)
        changes[key] = value
    return changes


def _assignment(name: str, value: Value) -> str:
    return f'{name} = {_formatted(value, 0, len(name) + 3)}'


def _formatted(value: Value, indent: int, used: int) -> str:
    """Write a value as Python, one item per line where it does not fit."""
    inline = _inline(value)
    if not isinstance(value, dict | list | tuple) or not value:
        return inline
    if indent + used + len(inline) + 1 <= _WIDTH:
        return inline
    inner = ' ' * (indent + 4)
    if isinstance(value, dict):
        opening, closing = ('dict(', ')') if _plain_names(value) else ('{', '}')
        heads = [f'{key}=' if opening == 'dict(' else f'{key!r}: ' for key in value]
        items = value.values()
    else:
        opening, closing = ('[', ']') if isinstance(value, list) else ('(', ')')
        heads, items = [''] * len(value), value
    lines = [
        f'{inner}{head}{_formatted(item, indent + 4, len(head) + 1)},'
        for head, item in zip(heads, items, strict=True)
    ]
    return '\n'.join([opening, *lines, ' ' * indent + closing])


def _inline(value: Value) -> str:
    if isinstance(value, dict):
        if _plain_names(value):
            items = [f'{key}={_inline(item)}' for key, item in value.items()]
            return f'dict({", ".join(items)})'
        items = [f'{key!r}: {_inline(item)}' for key, item in value.items()]
        return f'{{{", ".join(items)}}}'
    if isinstance(value, list):
        return f'[{", ".join(map(_inline, value))}]'
    if isinstance(value, tuple):
        comma = ',' if len(value) == 1 else ''
        return f'({", ".join(map(_inline, value))}{comma})'
    return pprint.pformat(value, width=10**6)


def _plain_names(value: dict) -> bool:
    return all(isinstance(key, str) and key.isidentifier() for key in value)


def keys_table() -> str:
    """All documented keys and what they become, as a Markdown table."""
    lines = ['| key | default | here |', '|---|---|---|']
    for key in sorted(KEYS.values(), key=lambda k: _order(k.name)):
        text = key.becomes
        if key.status == NO_EFFECT:
            text = f'**{NO_EFFECT}**: {text}'
        elif key.status == UNSUPPORTED:
            text = f'**{UNSUPPORTED}**, because {text}'
        elif key.stage == 2:
            text += ' (stage 2)'
        default = '' if key.default in (None, '') else f'`{key.default}`'
        lines.append(f'| `{key.name}` | {default} | {text} |')
    return '\n'.join(lines) + '\n'


def _order(name: str) -> tuple[int, int]:
    sections = ('', 'dataset', 'model', 'train', 'evaluate', 'inference')
    section = name.partition('.')[0] if '.' in name else ''
    place = sections.index(section) if section in sections else len(sections)
    return place, list(KEYS).index(name)
