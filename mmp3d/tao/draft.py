"""A config under construction, and the small handlers that most keys need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mmp3d.tao.spec import Spec, SpecError, Value, coerced

ACTIONS = ('train', 'evaluate', 'inference', 'export')
SPLITS = ('train', 'val', 'test')

MAPPED = 'mapped'
NO_EFFECT = "no effect in NVIDIA's implementation either"
UNSUPPORTED = 'not supported here'


@dataclass
class Draft:
    """What the handlers of keys change.

    Attributes:
        spec: The values.
        defaults: Documented default of every key.
        config: Nested dicts and lists of the config, changed in place.
        action: For whom it is: 'train', 'evaluate', 'inference' or 'export'.
        only_given: Whether keys that the spec leaves out keep the config's values.
        notes: What the present key became, one line each.
    """

    spec: Spec
    defaults: dict[str, Value]
    config: dict
    action: str = 'train'
    only_given: bool = False
    notes: list[str] = field(default_factory=list)

    def __getitem__(self, name: str) -> Value:
        """The value of a key, its default where the spec gives none."""
        value = self.spec.given.get(name)
        default = self.defaults[name]
        return default if value is None else coerced(name, value, default)

    def is_given(self, name: str) -> bool:
        """Whether the spec gives a key."""
        return self.spec.given.get(name) is not None

    @property
    def stage(self) -> int:
        """1: images only; 2: images and volumes."""
        return 2 if 'frustum_branch' in self.config['model'] else 1

    def has(self, path: str) -> bool:
        """Whether the config has something under a dotted path."""
        place: dict | None = self.config
        for part in path.split('.'):
            if not isinstance(place, dict) or part not in place:
                return False
            place = place[part]
        return place is not None

    def set(self, path: str, value: Value) -> None:
        """Set one value of the config and note it.

        Raises:
            SpecError: If the config has no such part.
        """
        parent, _, name = path.rpartition('.')
        if parent and not self.has(parent):
            raise SpecError(
                f'the config has no {parent}, so {path} cannot be set; use another base'
            )
        place = self.config
        for part in parent.split('.') if parent else ():
            place = place[part]
        if isinstance(place.get(name), tuple) and isinstance(value, list):
            value = tuple(value)
        place[name] = value
        self.note(f'{path} = {value!r}')

    def allow_missing(self, parts: list[str]) -> None:
        """Say which parts of the model a checkpoint may lack as a whole."""
        for hook in self.config['custom_hooks']:
            if hook['type'] == 'CheckpointKeysHook':
                hook.pop('may_be_missing', None)
                if parts:
                    hook['may_be_missing'] = parts

    def set_datasets(self, name: str, value: Value) -> None:
        """Set one value of the dataset of every split."""
        for split in SPLITS:
            *parents, leaf = name.split('.')
            place = self.config[f'{split}_dataloader']['dataset']
            for parent in parents:
                place = place[parent]
            place[leaf] = value
        self.note(f'dataset.{name} = {value!r} (all splits)')

    def pipeline(self, split: str) -> list[dict]:
        """The transforms of a split."""
        return self.config[f'{split}_dataloader']['dataset']['pipeline']

    def steps(self, kind: str) -> Iterator[dict]:
        """Every transform of a type in any split."""
        for split in SPLITS:
            yield from (s for s in self.pipeline(split) if s['type'] == kind)

    def set_steps(self, kind: str, name: str, value: Value) -> None:
        """Set one value of every transform of a type, where there is one."""
        steps = list(self.steps(kind))
        for step in steps:
            step[name] = value
        if steps:
            self.note(f'{kind}.{name} = {value!r}')

    def insert_step(self, split: str, before: tuple[str, ...], step: dict) -> None:
        """Put a transform before the first one of some types; only once."""
        pipeline = self.pipeline(split)
        if step in pipeline:
            return
        types = [s['type'] for s in pipeline]
        place = min(types.index(kind) for kind in before if kind in types)
        pipeline.insert(place, step)
        self.note(f'{split} pipeline: {step["type"]}')

    def note(self, text: str) -> None:
        """Say what the present key became."""
        if text not in self.notes:
            self.notes.append(text)


Handler = Callable[[Draft, Value], None]


@dataclass(frozen=True)
class Key:
    """One documented key.

    Attributes:
        name: Dotted, as in a spec.
        default: Documented default; ``None`` where there is none.
        becomes: What it becomes here, or why it does not.
        status: One of ``MAPPED``, ``NO_EFFECT``, ``UNSUPPORTED``.
        apply: Changes the draft; ``None`` for keys that change nothing.
        stage: 2 for keys that only stage 2 reads.
    """

    name: str
    default: Value
    becomes: str
    status: str = MAPPED
    apply: Handler | None = None
    stage: int = 1

    @property
    def action(self) -> str | None:
        """The only action that reads it; ``None`` = all."""
        section = self.name.partition('.')[0]
        return section if section in ACTIONS else None


def sets(*paths: str) -> Handler:
    """Make a handler that sets these values of the config, where it has such parts."""

    def apply(draft: Draft, value: Value) -> None:
        for path in paths:
            if draft.has(path.rpartition('.')[0]):
                draft.set(path, value)

    return apply


def only(accepted: Value, reason: str) -> Handler:
    """Make a handler that accepts one value and refuses the others with a reason."""

    def apply(draft: Draft, value: Value) -> None:
        if value != accepted:
            raise SpecError(f'not supported here: {value!r}; {reason}')
        draft.note('as it is here')

    return apply


def joined(leader: str, handler: Handler) -> Handler:
    """Make a handler for a key that takes effect together with another one."""

    def apply(draft: Draft, value: Value) -> None:
        if draft.only_given and not draft.is_given(leader):
            handler(draft, value)
        else:
            draft.note(f'see {leader}')

    return apply


def says(text: str) -> Handler:
    """Make a handler for what is read outside the config."""

    def apply(draft: Draft, value: Value) -> None:
        draft.note(text)

    return apply


def mapped(
    name: str, default: Value, becomes: str, apply: Handler, stage: int = 1
) -> Key:
    """Describe a key that does something here."""
    return Key(name, default, becomes, MAPPED, apply, stage)


def moved(name: str, default: Value, *paths: str, stage: int = 1) -> Key:
    """Describe a key whose value is one of ours, unchanged."""
    becomes = ', '.join(f'`{path}`' for path in paths)
    return Key(name, default, becomes, MAPPED, sets(*paths), stage)


def fixed(
    name: str, default: Value, accepted: Value, reason: str, stage: int = 1
) -> Key:
    """Describe a key of which only one value is accepted."""
    becomes = f'only {accepted!r}: {reason}'
    return Key(name, default, becomes, MAPPED, only(accepted, reason), stage)


def dead(name: str, default: Value, why: str = 'nothing reads it') -> Key:
    """Describe a key that NVIDIA's implementation does not read either."""
    return Key(name, default, why, NO_EFFECT)


def unsupported(name: str, default: Value, why: str) -> Key:
    """Describe a key that does something there and nothing here."""
    return Key(name, default, why, UNSUPPORTED)
