"""Sparse convolution by spconv's native algorithm, wired by our kernel maps.

Coordinates never reach spconv, so its own rules for output sets, index ranges and
centring do not matter; only its gather-multiply-scatter kernels are used.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor

from mmp3d.sparse.backends import torch_backend
from mmp3d.sparse.kernel_maps import KernelMap


def is_installed() -> bool:
    """Tell whether spconv can be imported."""
    return importlib.util.find_spec('spconv') is not None


@contextmanager
def _single_thread(on_cpu: bool) -> Iterator[None]:
    """spconv's CPU scatter loses sums when several threads hit one output row."""
    threads = torch.get_num_threads()
    if on_cpu:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class _NativeConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx, feats, filters, kernel_map):
        from spconv.core import ConvAlgo
        from spconv.pytorch import ops

        pairs, counts = kernel_map.pairs
        ctx.save_for_backward(feats, filters)
        ctx.kernel_map = kernel_map
        with _single_thread(not feats.is_cuda):
            return ops.indice_conv(
                feats,
                filters,
                pairs,
                counts,
                kernel_map.num_outputs,
                algo=ConvAlgo.Native,
            )

    @staticmethod
    def backward(ctx, grad):
        from spconv.core import ConvAlgo
        from spconv.pytorch import ops

        feats, filters = ctx.saved_tensors
        pairs, counts = ctx.kernel_map.pairs
        with _single_thread(not feats.is_cuda):
            grad_feats, grad_filters = ops.indice_conv_backward(
                feats, filters, grad, pairs, counts, algo=ConvAlgo.Native
            )
        return grad_feats, grad_filters, None


def convolve(
    feats: Float[Tensor, 'N C'], weight: Float[Tensor, 'T C D'], kernel_map: KernelMap
) -> Float[Tensor, 'M D']:
    """Convolve rows; see ``mmp3d.sparse.backends.convolve``.

    Computes in float32 for bfloat16 input, which spconv does not know.
    """
    if not len(feats) or not kernel_map.num_outputs:
        return torch_backend.convolve(feats, weight, kernel_map)
    size = round(kernel_map.num_taps ** (1 / 3))
    dtype = torch.float32 if feats.dtype == torch.bfloat16 else feats.dtype
    # Ours: tap, in, out; spconv's: out, k, k, k, in.
    filters = weight.to(dtype).unflatten(0, (size, size, size)).permute(4, 0, 1, 2, 3)
    result = _NativeConvolution.apply(
        feats.to(dtype).contiguous(), filters.contiguous(), kernel_map
    )
    return result.to(feats.dtype)
