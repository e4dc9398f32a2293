"""One file per sparse-convolution library, behind one function: ``convolve``.

May import the files beside this folder. Start at ``torch_backend.py``: plain torch, the
truth. ``set_backend`` and ``use_backend`` choose.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Shaped
from torch import Tensor

from mmp3d.sparse.backends import spconv_backend, torch_backend
from mmp3d.sparse.kernel_maps import KernelMap
from mmp3d.utils import check_choice

BACKENDS = ('auto', 'torch', 'spconv')

_chosen = 'auto'


def current_backend() -> str:
    """The backend that was chosen last: ``auto`` where nobody chose."""
    return _chosen


def available_backends() -> tuple[str, ...]:
    """The backends whose library is installed."""
    return ('torch', 'spconv') if spconv_backend.is_installed() else ('torch',)


def set_backend(name: str) -> None:
    """Choose how sparse convolutions are computed.

    Args:
        name: ``torch``; ``spconv``; or ``auto``: spconv for tensors on CUDA where it
            is installed, torch otherwise.

    Raises:
        ValueError: If the name is unknown.
        ImportError: If spconv is asked for and not installed.
    """
    global _chosen
    check_choice('sparse backend', name, BACKENDS)
    if name == 'spconv' and not spconv_backend.is_installed():
        raise ImportError(
            "sparse backend 'spconv' was asked for, but spconv cannot be imported; "
            "install spconv-cu120, or choose 'torch' or 'auto'."
        )
    _chosen = name


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Choose a backend inside a ``with`` block."""
    before = current_backend()
    set_backend(name)
    try:
        yield
    finally:
        set_backend(before)


def convolve(
    feats: Shaped[Tensor, 'N C'], weight: Shaped[Tensor, 'T C D'], kernel_map: KernelMap
) -> Shaped[Tensor, 'M D']:
    """Sum ``feats[input] @ weight[tap]`` into ``output`` over a kernel map.

    Computes in the dtype of ``feats``, autocast or not.

    Args:
        feats: Input rows.
        weight: One matrix per tap, x slowest.
        kernel_map: Which input row meets which tap for which output row.
    """
    on_cuda = feats.is_cuda and spconv_backend.is_installed()
    spconv = _chosen == 'spconv' or (_chosen == 'auto' and on_cuda)
    backend = spconv_backend if spconv else torch_backend
    with torch.autocast(feats.device.type, enabled=False):
        return backend.convolve(feats, weight.to(feats.dtype), kernel_map)
