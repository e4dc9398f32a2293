"""A loss that is no number ends the run at once."""

from __future__ import annotations

import math

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import Runner

from mmp3d.registry import HOOKS


@HOOKS.register_module()
class StopOnNonFiniteLossHook(Hook):
    """Raise where a loss or the norm of the gradient is NaN or infinite.

    It comes before the checkpoint hook, so a broken state is never saved and the last
    checkpoint is one to resume from. The losses of all processes are averaged before
    they come here, so all of them stop. With loss scaling (``AmpOptimWrapper``) an
    infinite gradient is normal: that step is left out by the scaler.
    """

    priority = 'ABOVE_NORMAL'

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Look at every logged number of the iteration.

        Raises:
            FloatingPointError: If one is not finite; names the terms and the samples.
        """
        values = {name: value.item() for name, value in outputs.items()}
        norm = runner.message_hub.log_scalars.get('train/grad_norm')
        if norm is not None and not isinstance(runner.optim_wrapper, AmpOptimWrapper):
            values['grad_norm'] = float(norm.current())
        broken = {n: v for n, v in values.items() if not math.isfinite(v)}
        if not broken:
            return
        samples = [sample.sample_id for sample in data_batch['data_samples']]
        everywhere = [name for part in all_gather_object(samples) for name in part]
        terms = ', '.join(f'{name} = {value}' for name, value in broken.items())
        last = runner.message_hub.runtime_info.get('last_ckpt', 'none')
        raise FloatingPointError(
            f'iteration {runner.iter + 1}: expected finite losses, got {terms} for the '
            f'batch of samples {everywhere}. Nothing of this iteration was saved; '
            f'last checkpoint: {last}. Check the samples '
            '(tools/analysis/check_data.py DATA_ROOT), lower the learning rate, or '
            'train without mixed precision; then go on with --resume.'
        )
