"""Published checkpoint keys and ours: one table of rules, read in both directions.

The published names are those of NVIDIA's stage-1 and stage-2 checkpoints after the
prefix ``model.`` has been stripped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """A change of a tensor's layout, and the way back."""

    to_ours: Callable[[Tensor], Tensor]
    to_published: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Rename:
    """Published prefix or name -> ours.

    Attributes:
        published: Name with ``{}`` for every running index or name part.
        ours: Name with the same number of ``{}``.
        layout: Change of layout; ``None`` = as it is.
    """

    published: str
    ours: str
    layout: Layout | None = None


@dataclass(frozen=True)
class Drop:
    """Published tensors that no part of ours reads, and why."""

    published: str
    reason: str


# Order matters: the first rule that fits is taken. A ``{}`` at the end stands for the
# rest of the name; elsewhere it stands for one dotted part.

BACKBONE_RULES: tuple[Rename | Drop, ...] = (
)

PIXEL_DECODER_RULES: tuple[Rename | Drop, ...] = (
)

PANOPTIC_HEAD_RULES: tuple[Rename | Drop, ...] = (
)

FRUSTUM_RULES: tuple[Rename | Drop, ...] = (
)

RULES = (
    BACKBONE_RULES + PIXEL_DECODER_RULES + PANOPTIC_HEAD_RULES + FRUSTUM_RULES
)


def _match(pattern: str, name: str) -> tuple[str, ...] | None:
    parts = pattern.split('{}')
    regex = re.escape(parts[0])
    for i, part in enumerate(parts[1:]):
        last = i == len(parts) - 2 and not part
        regex += (r'(.+)' if last else r'([^.]+)') + re.escape(part)
    found = re.fullmatch(regex, name)
    return found.groups() if found else None


@dataclass(frozen=True)
class ConvertedState:
    """Result of a conversion.

    Attributes:
        state: The tensors under their new names.
        dropped: Old name -> why nothing reads it.
        unknown: Old names that no rule fits.
    """

    state: dict[str, Tensor]
    dropped: dict[str, str]
    unknown: tuple[str, ...]


def to_ours(state: Mapping[str, Tensor]) -> ConvertedState:
    """Translate published names and layouts into ours.

    Args:
        state: Published state dict without the prefix ``model.``.
    """
    converted, dropped, unknown = {}, {}, []
    for name, tensor in state.items():
        for rule in RULES:
            parts = _match(rule.published, name)
            if parts is None:
                continue
            if isinstance(rule, Drop):
                dropped[name] = rule.reason
            else:
                layout = rule.layout
                converted[rule.ours.format(*parts)] = (
                    layout.to_ours(tensor) if layout else tensor
                )
            break
        else:
            unknown.append(name)
    return ConvertedState(converted, dropped, tuple(unknown))


def to_published(state: Mapping[str, Tensor]) -> ConvertedState:
    """Translate our names and layouts into the published ones."""
    converted, unknown = {}, []
    renames = [rule for rule in RULES if isinstance(rule, Rename)]
    for name, tensor in state.items():
        for rule in renames:
            parts = _match(rule.ours, name)
            if parts is not None:
                layout = rule.layout
                converted[rule.published.format(*parts)] = (
                    layout.to_published(tensor) if layout else tensor
                )
                break
        else:
            unknown.append(name)
    return ConvertedState(converted, {}, tuple(unknown))
