"""Checks at the border, with messages that name what came and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Give ', did you mean ...?' for a misspelt name, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f', did you mean {close[0]!r}?' if close else ''


def check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Raise if an option is none of the known ones.

    Raises:
        ValueError: If ``value`` is not in ``choices``.
    """
    known = list(choices)
    if value not in known:
        raise ValueError(
            f'{name} must be one of {known}, got {value!r}{nearest_name(value, known)}'
        )


def check_positive(name: str, value: float | int) -> None:
    """Raise if a number is not above zero.

    Raises:
        ValueError: If ``value`` is zero, negative or not a number.
    """
    if not value > 0:
        raise ValueError(f'{name} must be positive, got {value!r}')
