"""Checkpoints that survive the death of the run at any moment."""

from __future__ import annotations

from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmp3d.fileio import atomic_write
from mmp3d.registry import HOOKS


@HOOKS.register_module()
class WholeCheckpointHook(CheckpointHook):
    """The host's hook, with a ``last_checkpoint`` that always names a whole file.

    A new checkpoint is complete before it is named, and named before an older one is
    deleted. Checkpoints must be files on a local disk. Arguments are those of
    ``mmengine.hooks.CheckpointHook``.
    """

    def save(self, runner: Runner, iteration: int) -> None:
        """Save now, as after ``iteration`` iterations; nothing if that is done already.

        Args:
            runner: The run.
            iteration: Number of finished iterations.
        """
        name = self.filename_tmpl.format(iteration)
        if self.last_ckpt is None or Path(self.last_ckpt).name != name:
            meta = dict(epoch=runner.epoch, iter=iteration)
            self._save_checkpoint_with_step(runner, iteration, meta)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        expired = self._add_to_kept(runner, step)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = str(Path(self.out_dir) / name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            **self.args,
        )
        if not is_main_process():
            return
        with atomic_write(Path(runner.work_dir) / 'last_checkpoint') as temporary:
            temporary.write_text(self.last_ckpt)
        for old in expired:
            path = Path(self.out_dir) / self.filename_tmpl.format(old)
            path.unlink(missing_ok=True)

    def _add_to_kept(self, runner: Runner, step: int) -> list[int]:
        """Note the new checkpoint; give those that are one too many."""
        if self.max_keep_ckpts <= 0:
            return []
        kept = [*(s for s in self.keep_ckpt_ids if s != step), step]
        expired = kept[: -self.max_keep_ckpts]
        self.keep_ckpt_ids.clear()
        self.keep_ckpt_ids.extend(kept[-self.max_keep_ckpts :])
        runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        return expired
