"""SIGTERM saves a checkpoint and ends the run with a code of its own."""

from __future__ import annotations

import signal
import threading
from types import FrameType

import torch
from mmengine.dist import all_reduce, is_distributed
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmp3d.engine.hooks.whole_checkpoint_hook import WholeCheckpointHook
from mmp3d.registry import HOOKS

# EX_TEMPFAIL of sysexits.h, "try again later". Not 143, which also is the code of a
# process that died of the signal and has saved nothing.
STOPPED_EXIT_CODE = 75


@HOOKS.register_module()
class GracefulStopHook(Hook):
    """Finish the iteration, save a checkpoint, leave with ``STOPPED_EXIT_CODE``.

    For machines that are taken away with a warning (SIGTERM). All processes stop at the
    same iteration, whichever of them is told. During a validation the state before it
    is saved. ``--resume`` goes on from there.
    """

    priority = 'LOWEST'  # when everybody else has finished the iteration

    def __init__(self) -> None:
        self._stop = False
        self._former = None

    def before_train(self, runner: Runner) -> None:
        """Listen; only the main thread of a process can."""
        if threading.current_thread() is threading.main_thread():
            self._former = signal.signal(signal.SIGTERM, self._note)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Stop after the iteration that the signal came in."""
        self._stop_if_told(runner, runner.iter + 1)

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: list | None = None,
    ) -> None:
        """Do not wait for the end of a validation; here the iteration has passed."""
        if self._former is not None:
            self._stop_if_told(runner, runner.iter)

    def after_train(self, runner: Runner) -> None:
        """Give the signal back."""
        if self._former is not None:
            signal.signal(signal.SIGTERM, self._former)
            self._former = None

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._stop = True

    def _stop_if_told(self, runner: Runner, iteration: int) -> None:
        if not self._anybody_told():
            return
        for hook in runner.hooks:
            if isinstance(hook, WholeCheckpointHook):
                hook.save(runner, iteration)
                runner.logger.warning(
                    f'SIGTERM: saved {hook.last_ckpt}, exit with code '
                    f'{STOPPED_EXIT_CODE}. Go on with --resume.'
                )
        self.after_train(runner)
        raise SystemExit(STOPPED_EXIT_CODE)

    def _anybody_told(self) -> bool:
        if not is_distributed():
            return self._stop
        told = torch.tensor(int(self._stop))
        all_reduce(told, op='max')
        return bool(told)
