"""Class names, things and stuff, colours: the only place that knows them."""

from __future__ import annotations

from dataclasses import dataclass

from mmp3d.utils import nearest_name


@dataclass(frozen=True)
class LabelSpace:
    """The classes of a dataset.

    A label is an index into ``classes`` and into the logit columns; 0 is void (free
    space, unlabelled) and ``no_object`` = ``num_classes`` is the last logit column.

    Attributes:
        name: Name under which configs find it.
        classes: Class names, 'void' first.
        thing_labels: Labels of the countable classes.
        palette: One RGB colour per class, 0..255.
        stuff_targets: Stuff labels that the ground truth contains. The published
            3D-Front has no ceiling.
    """

    name: str
    classes: tuple[str, ...]
    thing_labels: tuple[int, ...]
    palette: tuple[tuple[int, int, int], ...]
    stuff_targets: tuple[int, ...]

    void: int = 0

    def __post_init__(self) -> None:
        if len(self.classes) != len(self.palette):
            raise ValueError(
                f'label space {self.name!r}: {len(self.classes)} classes, but '
                f'{len(self.palette)} colours'
            )

    @property
    def num_classes(self) -> int:
        """Number of classes, void included (13 for the published label map)."""
        return len(self.classes)

    @property
    def no_object(self) -> int:
        """Logit column of 'no object'."""
        return len(self.classes)

    @property
    def stuff_labels(self) -> tuple[int, ...]:
        """Labels of the uncountable classes, void excluded."""
        return tuple(
            label
            for label in range(1, self.num_classes)
            if label not in self.thing_labels
        )

    def is_thing(self, label: int) -> bool:
        """Whether instances of this class are counted."""
        return label in self.thing_labels

    @classmethod
    def named(cls, name: str) -> LabelSpace:
        """Find a label space by name.

        Raises:
            KeyError: If there is none of this name.
        """
        if name not in _NAMED:
            raise KeyError(
                f'unknown label space {name!r}{nearest_name(name, _NAMED)} Known: '
                f'{sorted(_NAMED)}'
            )
        return _NAMED[name]


_CLASSES = (
    ('void', (0, 0, 0)),
    ('cabinet', (220, 20, 60)),
    ('bed', (255, 0, 0)),
    ('chair', (0, 0, 142)),
    ('sofa', (0, 0, 70)),
    ('table', (0, 60, 100)),
    ('desk', (0, 80, 100)),
    ('dresser', (0, 0, 230)),
    ('lamp', (119, 11, 32)),
    ('other', (190, 50, 60)),
    ('wall', (102, 102, 156)),
    ('floor', (128, 64, 128)),
    ('ceiling', (70, 70, 70)),
)

_COMMON = dict(
    classes=tuple(name for name, _ in _CLASSES),
    palette=tuple(colour for _, colour in _CLASSES),
    thing_labels=tuple(range(1, 10)),
)

FRONT3D = LabelSpace(name='front3d', stuff_targets=(10, 11), **_COMMON)
MATTERPORT3D = LabelSpace(name='matterport3d', stuff_targets=(10, 11, 12), **_COMMON)
# Its files have 3D-Front's layout, and unlike those a ceiling.
SYNTHROOMS = LabelSpace(name='synthrooms', stuff_targets=(10, 11, 12), **_COMMON)

_NAMED = {space.name: space for space in (FRONT3D, MATTERPORT3D, SYNTHROOMS)}
