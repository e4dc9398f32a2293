"""What one image costs in every part of a model; see ``benchmark.py forward``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Self

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from mmp3d.apis import PanopticReconstructionInferencer
from mmp3d.sparse import SparseVoxels
from mmp3d.structures import FrustumGrid
from mmp3d.testing.synth_rooms import SynthRoomsSpec, generate_sample


@dataclass(frozen=True)
class PartCost:
    """Cost of one sub-module, everything below it included.

    Attributes:
        name: Dotted name; empty for the whole model.
        seconds: Wall time of its forward passes.
        gflop: 1e9 floating-point operations of matrix products, convolutions and
            attention; a multiply-add counts as two.
        parameters: Number of parameters.
    """

    name: str
    seconds: float
    gflop: float
    parameters: int


@dataclass(frozen=True)
class ForwardCost:
    """Cost of one image.

    Attributes:
        parts: The whole model first, then its parts in the order of the model.
        voxels: Rows of every sparse tensor that a part returned, by its name there.
    """

    parts: tuple[PartCost, ...]
    voxels: dict[str, int]


def forward_cost(config: str, checkpoint: str | None, device: str) -> ForwardCost:
    """Run a model on one synthetic room and account for its parts.

    Args:
        config: Path of a config.
        checkpoint: Weights; ``None``: random ones.
        device: 'cpu', 'cuda' ...
    """
    torch.manual_seed(0)
    infer = PanopticReconstructionInferencer(
        config, checkpoint, device, camera='dataset'
    )
    infer.model.requires_grad_(False)  # the counter follows gradients
    small = FrustumGrid((64, 64, 64), voxel_size=0.12)  # only the image is needed
    room = generate_sample('test', 0, SynthRoomsSpec(grid=small))
    packed = infer.preprocess(room.picture.rgb)
    # Counted in a pass of its own, which also loads what is loaded at first use.
    counter = FlopCounterMode(display=False, custom_mapping=FLOP_FORMULAS)
    with counter:
        infer.forward([packed])
    watch = _Watch(infer.model, device)
    with watch:
        infer.forward([packed])
    counts = counter.get_flop_counts()
    root = type(infer.model).__name__
    return ForwardCost(
        tuple(
            PartCost(
                name,
                seconds,
                sum(counts.get(f'{root}.{name}' if name else 'Global', {}).values())
                / 1e9,
                sum(p.numel() for p in infer.model.get_submodule(name).parameters()),
            )
            for name, seconds in watch.seconds.items()
        ),
        watch.voxels,
    )


class _Watch:
    """Times the model, its parts and their parts, and sees the voxels they return."""

    def __init__(self, model: nn.Module, device: str) -> None:
        self.on_gpu = device.startswith('cuda')
        self.modules = {n: m for n, m in model.named_modules() if n.count('.') <= 1}
        self.seconds: dict[str, float] = {'': 0.0}
        self.voxels: dict[str, int] = {}
        self._started: dict[str, float] = {}
        self._handles: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> Self:
        for name, module in self.modules.items():
            if name:
                self._handles += [
                    module.register_forward_pre_hook(lambda *_, n=name: self._start(n)),
                    module.register_forward_hook(
                        lambda *call, n=name: self._stop(n, call[-1])
                    ),
                ]
        self._start('')
        return self

    def __exit__(self, *_: object) -> None:
        self._stop('', None)
        for handle in self._handles:
            handle.remove()
        measured = [n for n in self.modules if n in self.seconds]
        self.seconds = {name: self.seconds[name] for name in measured}

    def _now(self) -> float:
        if self.on_gpu:
            torch.cuda.synchronize()
        return time.perf_counter()

    def _start(self, name: str) -> None:
        self._started[name] = self._now()

    def _stop(self, name: str, output: object) -> None:
        spent = self._now() - self._started[name]
        self.seconds[name] = self.seconds.get(name, 0.0) + spent
        for field, value in getattr(output, '__dict__', {}).items():
            if isinstance(value, SparseVoxels):
                self.voxels[field] = len(value.coords)


def _attention_flops(
    query: tuple, key: tuple, value: tuple, *_: object, **__: object
) -> int:
    return sdpa_flop_count(query, key, value)


# The counter knows the attention kernels of GPUs only.
FLOP_FORMULAS = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops
}
