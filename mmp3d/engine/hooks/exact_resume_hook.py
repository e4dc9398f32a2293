"""A resumed run goes on as if it had never stopped."""

from __future__ import annotations

import itertools

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmp3d.datasets import ResumableInfiniteSampler
from mmp3d.registry import HOOKS
from mmp3d.utils import derive_seed, seed_generators


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Tie data and random numbers to the iteration instead of to what came before.

    Every iteration seeds the generators of its process from the run's seed, so nothing
    has to be stored, and a validation in between changes nothing. Checkpoints say which
    samples have been drawn; a resumed run starts its ``ResumableInfiniteSampler``
    there, without loading what was trained on, also with another batch size or number
    of processes. With another sampler the host loads and drops those batches.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._start = (0, 0)  # iteration, samples drawn before it
        self._loaded: dict | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep where its run was; weights alone say nothing."""
        self._loaded = checkpoint.get('meta', {}).get('data_order')

    def before_train(self, runner: Runner) -> None:
        """Move the sampler to where the loaded run was, if this one resumes it."""
        loader = runner.train_dataloader
        resumed = runner.iter > 0 and self._loaded is not None
        if not resumed or not isinstance(loader.sampler, ResumableInfiniteSampler):
            return
        self._start = (runner.iter, self._loaded['position'])
        loader.sampler.start_at(self._loaded['position'], self._loaded['seed'])
        # The host skips this many batches, and has begun to load the first ones.
        skipped = itertools.repeat(None, runner.iter)
        runner.train_loop.dataloader_iterator = itertools.chain(skipped, loader)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Seed what the model draws."""
        seed_generators(derive_seed(runner.seed, runner.iter, get_rank()))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Say which samples have been drawn."""
        loader = runner.train_dataloader
        if not isinstance(loader.sampler, ResumableInfiniteSampler):
            return
        iteration, position = self._start
        num_batches = checkpoint['meta']['iter'] - iteration
        checkpoint['meta']['data_order'] = dict(
            seed=loader.sampler.seed,
            position=position
            + num_batches * loader.batch_size * loader.sampler.world_size,
        )
