"""Sparse convolution in plain torch: rows are gathered, then multiplied.

Every device, every floating dtype, deterministic: both directions gather, nothing is
scattered with overlap. Memory beyond input and output is one chunk of gathered rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Shaped
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmp3d.sparse.kernel_maps import Gather, KernelMap

# Elements gathered at once: what stays in one core's cache, or fills a GPU.
_CHUNK_CORE = 1 << 19
_CHUNK_CUDA = 1 << 26


def convolve(
    feats: Shaped[Tensor, 'N C'], weight: Shaped[Tensor, 'T C D'], kernel_map: KernelMap
) -> Shaped[Tensor, 'M D']:
    """Convolve rows; see ``mmp3d.sparse.backends.convolve``."""
    return _Convolution.apply(feats, weight, kernel_map)


def _gathered(
    source: Tensor, gather: Gather
) -> Iterator[tuple[slice, Shaped[Tensor, 'n KC']]]:
    """Source rows of every sum side by side, chunk by chunk."""
    columns = gather.table.shape[1] * source.shape[1]
    padded = torch.cat([source, source.new_zeros(1, source.shape[1])])
    cores = _CHUNK_CORE * torch.get_num_threads()
    budget = _CHUNK_CUDA if source.is_cuda else cores
    chunk = max(1, budget // max(1, columns))
    for start in range(0, len(gather.table), chunk):
        part = slice(start, start + chunk)
        rows = padded.index_select(0, gather.table[part].flatten())
        yield part, rows.view(-1, columns)


def _stacked_weight(weight: Tensor, gather: Gather) -> Shaped[Tensor, 'KC MD']:
    """The weights that gathered rows are multiplied with."""
    padded = torch.cat([weight, weight.new_zeros(1, *weight.shape[1:])])
    stacked = padded[gather.taps]  # M K C D
    return stacked.permute(1, 2, 0, 3).flatten(2).flatten(0, 1)


def _multiply(rows: Tensor, matrix: Tensor, out: Tensor) -> None:
    """Write ``rows @ matrix``."""
    if not rows.is_cuda and 1 < out.shape[1] < 16:
        # MKL is three times as quick at few columns when asked for the transpose.
        out.copy_(torch.mm(matrix.T, rows.T).T)
    else:
        torch.mm(rows, matrix, out=out)


def _slotted(sums: Shaped[Tensor, 'N MD'], gather: Gather) -> Shaped[Tensor, 'R D']:
    """Pick the target rows from the sums."""
    if gather.slots is None:
        return sums
    rows = sums.unflatten(1, (len(gather.taps), -1)).flatten(0, 1)
    zero = rows.new_zeros(1, rows.shape[1])
    return torch.cat([rows, zero]).index_select(0, gather.slots)


def _weight_gradient(
    gather: Gather, source: Tensor, target: Tensor, num_taps: int
) -> Shaped[Tensor, 'T S D']:
    """Sum ``source^T target`` over every tap's pairs."""
    target = gather.unslotted(target)
    num_columns = gather.taps.shape[1]
    total = _accumulator(source, target.shape[1], num_columns * source.shape[1])
    for part, rows in _gathered(source, gather):
        total += target[part].T @ rows
    return _by_tap(total.T, gather, source.shape[1], num_taps)


def _accumulator(like: Tensor, *shape: int) -> Tensor:
    """Zeros of at least float32, for sums over many rows."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    return torch.zeros(shape, dtype=dtype, device=like.device)


def _by_tap(
    total: Shaped[Tensor, 'KS MD'], gather: Gather, source_width: int, num_taps: int
) -> Shaped[Tensor, 'T S D']:
    """Sort products of (column, source) x (sum, target) channels by tap."""
    num_sums, num_columns = gather.taps.shape
    blocks = total.reshape(num_columns, source_width, num_sums, -1).permute(2, 0, 1, 3)
    by_tap = blocks.new_zeros(num_taps + 1, *blocks.shape[2:])
    by_tap.index_add_(0, gather.taps.flatten(), blocks.flatten(0, 1))
    return by_tap[:num_taps]


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx, feats, weight, kernel_map):
        ctx.save_for_backward(feats, weight)
        ctx.kernel_map = kernel_map
        gather = kernel_map.by_output
        stacked = _stacked_weight(weight, gather)
        sums = feats.new_empty(len(gather.table), stacked.shape[1])
        for part, rows in _gathered(feats, gather):
            _multiply(rows, stacked, sums[part])
        return _slotted(sums, gather)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        feats, weight = ctx.saved_tensors
        needs_feats, needs_weight, _ = ctx.needs_input_grad
        kernel_map, grad = ctx.kernel_map, grad.contiguous()
        with torch.autocast(grad.device.type, enabled=False):
            if needs_feats:
                return *_gradients(feats, weight, kernel_map, grad, needs_weight), None
            if needs_weight:
                return None, _cheapest_weight_gradient(feats, grad, kernel_map), None
        return None, None, None


def _gradients(
    feats: Tensor, weight: Tensor, kernel_map: KernelMap, grad: Tensor, both: bool
) -> tuple[Tensor, Tensor | None]:
    """Gradients of input and weight; one pass over the gathered rows serves both."""
    gather = kernel_map.by_input
    stacked = _stacked_weight(weight.transpose(1, 2), gather)
    sums = grad.new_empty(len(gather.table), stacked.shape[1])
    total = _accumulator(grad, *stacked.T.shape)
    target = gather.unslotted(feats)
    for part, rows in _gathered(grad, gather):
        _multiply(rows, stacked, sums[part])
        if both:
            total += target[part].T @ rows
    grad_feats = _slotted(sums, gather)
    if not both:
        return grad_feats, None
    by_tap = _by_tap(total.T, gather, grad.shape[1], kernel_map.num_taps)
    return grad_feats, by_tap.transpose(1, 2).to(weight.dtype)


def _cheapest_weight_gradient(
    feats: Tensor, grad: Tensor, kernel_map: KernelMap
) -> Shaped[Tensor, 'T C D']:
    """Gather whichever of input and gradient has fewer channels."""
    taps = kernel_map.num_taps
    if feats.shape[1] <= grad.shape[1]:
        by_tap = _weight_gradient(kernel_map.by_output, feats, grad, taps)
        return by_tap.to(feats.dtype)
    by_tap = _weight_gradient(kernel_map.by_input, grad, feats, taps)
    return by_tap.transpose(1, 2).to(feats.dtype)
