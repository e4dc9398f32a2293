"""Freeze sub-modules by dotted name: no gradient, and eval mode for good."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from mmp3d.utils.checks import nearest_name


def _named_module(model: nn.Module, name: str) -> nn.Module:
    modules = dict(model.named_modules())
    if name not in modules:
        raise KeyError(
            f'frozen={name!r} names no sub-module of {type(model).__name__}'
            f'{nearest_name(name, modules)} Its parts are '
            f'{[n for n, _ in model.named_children()]}; use dotted names below them.'
        )
    return modules[name]


def freeze_modules(model: nn.Module, names: Sequence[str]) -> None:
    """Switch off the gradient of every parameter below the named sub-modules.

    Raises:
        KeyError: If a name does not exist.
    """
    for name in names:
        _named_module(model, name).requires_grad_(False)
    keep_frozen_in_eval(model, names)


def keep_frozen_in_eval(model: nn.Module, names: Sequence[str]) -> None:
    """Put the named sub-modules in eval mode, so that no running statistic moves.

    Call it at the end of ``train()``: ``nn.Module.train`` resets the mode of all
    children.
    """
    for name in names:
        _named_module(model, name).eval()
