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
        palette: One RGB colour per class, 0..255, as in the published label map.
        display_palette: The same for pictures: told apart, and bright enough to be
            shaded.
        stuff_targets: Stuff labels that the ground truth contains. The published
            3D-Front has no ceiling.
    """

    name: str
    classes: tuple[str, ...]
    thing_labels: tuple[int, ...]
    palette: tuple[tuple[int, int, int], ...]
    display_palette: tuple[tuple[int, int, int], ...]
    stuff_targets: tuple[int, ...]

    void: int = 0

    def __post_init__(self) -> None:
        if len(self.classes) != len(self.palette):
            raise ValueError(
                f'label space {self.name!r}: {len(self.classes)} classes, but '
                f'{len(self.palette)} colours'
            )
        if len(self.display_palette) != len(self.classes):
            raise ValueError(
                f'label space {self.name!r}: {len(self.classes)} classes, but '
                f'{len(self.display_palette)} colours for pictures'
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


# Name, colour of the published label map, colour for pictures.
_CLASSES = (
    ('void', (0, 0, 0), (96, 96, 96)),
    ('cabinet', (220, 20, 60), (188, 112, 62)),
    ('bed', (255, 0, 0), (222, 74, 68)),
    ('chair', (0, 0, 142), (62, 112, 226)),
    ('sofa', (0, 0, 70), (146, 88, 204)),
    ('table', (0, 60, 100), (246, 160, 52)),
    ('desk', (0, 80, 100), (236, 206, 72)),
    ('dresser', (0, 0, 230), (226, 108, 170)),
    ('lamp', (119, 11, 32), (48, 186, 190)),
    ('other', (190, 50, 60), (128, 134, 56)),
    ('wall', (102, 102, 156), (172, 188, 212)),
    ('floor', (128, 64, 128), (158, 206, 150)),
    ('ceiling', (70, 70, 70), (214, 214, 226)),
)

_COMMON = dict(
    classes=tuple(name for name, _, _ in _CLASSES),
    palette=tuple(colour for _, colour, _ in _CLASSES),
    display_palette=tuple(colour for _, _, colour in _CLASSES),
    thing_labels=tuple(range(1, 10)),
)

FRONT3D = LabelSpace(name='front3d', stuff_targets=(10, 11), **_COMMON)
MATTERPORT3D = LabelSpace(name='matterport3d', stuff_targets=(10, 11, 12), **_COMMON)
# Its files have 3D-Front's layout, and unlike those a ceiling.
SYNTHROOMS = LabelSpace(name='synthrooms', stuff_targets=(10, 11, 12), **_COMMON)

_NAMED = {space.name: space for space in (FRONT3D, MATTERPORT3D, SYNTHROOMS)}
