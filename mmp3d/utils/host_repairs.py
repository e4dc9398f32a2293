"""Repairs of what is broken between the pinned versions of the host libraries.

Every repair names its reason and is tested. They are applied once, when the registries
are imported, so they also hold when mmdet3d's own tools run our configs.
"""

from __future__ import annotations

import atexit
import copyreg
import functools
import gc
import os
import time

import mmengine.dist.utils
import mmengine.runner.runner
import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import Runner
from torch import Tensor, distributed, nn


def rebuild_history_buffer(
    log_history: Tensor, count_history: Tensor, max_length: int
) -> HistoryBuffer:
    """Make a log buffer from plain tensors; the only thing a checkpoint may call."""
    return HistoryBuffer(
        log_history.double().numpy(), count_history.double().numpy(), int(max_length)
    )


def _reduce_history_buffer(buffer: HistoryBuffer) -> tuple:
    logs, counts = (torch.from_numpy(np.asarray(a, float)) for a in buffer.data)
    return rebuild_history_buffer, (logs, counts, buffer.max_length)


def repair_resume() -> None:
    """Let ``--resume`` work under torch's safe loading.

    Reason: mmengine stores its log buffers as arbitrary objects, which torch >= 2.6
    refuses to load; allowing them as they are would mean to allow ``builtins.getattr``.
    Ours are stored as tensors and one harmless function, numpy scalars as numbers.
    """
    copyreg.pickle(HistoryBuffer, _reduce_history_buffer)
    torch.serialization.add_safe_globals([rebuild_history_buffer])
    host_save = mmengine.runner.runner.save_checkpoint
    if getattr(host_save, 'repaired', False):
        return

    @functools.wraps(host_save)
    def save_checkpoint(checkpoint: dict, filename: str, **options: object) -> None:
        checkpoint = plain_values(checkpoint)
        if '://' in filename:
            host_save(checkpoint, filename, **options)
            return
        # Whole or not at all: a run may be killed while it writes.
        host_save(checkpoint, f'{filename}.part', **options)
        os.replace(f'{filename}.part', filename)

    save_checkpoint.repaired = True
    mmengine.runner.runner.save_checkpoint = save_checkpoint


def plain_values(value: object) -> object:
    """Replace numpy scalars in nested containers by Python's own numbers."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        items = {key: plain_values(item) for key, item in value.items()}
        return items if type(value) is dict else type(value)(items)
    if type(value) in (list, tuple):
        return type(value)(plain_values(item) for item in value)
    return value


def repair_cpu_processes() -> None:
    """Let several processes train on a machine without a GPU.

    Reason: mmengine calls ``torch.cuda.set_device`` for every backend, asks for nccl by
    default and gives ``device_ids`` to the data-parallel wrapper; all three fail with a
    CPU build of torch.
    """
    if torch.cuda.is_available():
        return
    host_init = mmengine.dist.utils.init_dist
    if getattr(host_init, 'repaired', False):
        return

    @functools.wraps(host_init)
    def init_dist(launcher: str, backend: str = 'nccl', **options: object) -> None:
        if launcher != 'pytorch':
            host_init(launcher, backend=backend, **options)
            return
        options.pop('init_backend', None)
        if not distributed.is_initialized():
            distributed.init_process_group('gloo', **options)

    init_dist.repaired = True
    mmengine.dist.utils.init_dist = init_dist
    mmengine.dist.init_dist = init_dist
    mmengine.runner.runner.init_dist = init_dist

    host_wrap = Runner.wrap_model

    @functools.wraps(host_wrap)
    def wrap_model(
        self: Runner, model_wrapper_cfg: dict | None, model: nn.Module
    ) -> nn.Module:
        if self.distributed and model_wrapper_cfg is None:
            model_wrapper_cfg = dict(
                type='MMDistributedDataParallel',
                device_ids=None,
                broadcast_buffers=False,
                find_unused_parameters=self.cfg.get('find_unused_parameters', False),
            )
        return host_wrap(self, model_wrapper_cfg, model)

    Runner.wrap_model = wrap_model


def repair_exit() -> None:
    """Let a process that has used gloo end with the exit code it has earned.

    Reason: a thread of gloo that drops a tensor while the interpreter shuts down aborts
    the process (exit code -6), although its work is done; torchrun then reports a
    failure and kills the others. Neither mmengine nor torch leaves the group.
    """
    atexit.unregister(_leave_gloo)
    atexit.register(_leave_gloo)


def _leave_gloo() -> None:
    if not distributed.is_initialized() or distributed.get_backend() != 'gloo':
        return
    gc.collect()  # a runner that has ended still holds the group, by its cycles
    distributed.destroy_process_group()  # joins the threads if nothing else holds it
    time.sleep(0.1)  # else they get the interpreter's lock here, to drop what they hold


def repair_host() -> None:
    """Apply every repair; a second call changes nothing."""
    repair_resume()
    repair_cpu_processes()
    repair_exit()
