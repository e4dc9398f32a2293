"""What the keys below ``train`` become."""

from __future__ import annotations

import json
import math
from pathlib import Path

from mmp3d.tao.draft import Draft, Key, dead, fixed, joined, mapped, moved, says
from mmp3d.tao.run_keys import num_processes, process_keys, results_key
from mmp3d.tao.spec import SpecError, Value
from mmp3d.utils import nearest_name

_OPTIM = 'train.optim'
_MAX_STEPS = f'{_OPTIM}.max_steps'

# Published part -> our parts.
PARTS: dict[str, tuple[str, ...]] = {
    'backbone': ('backbone',),
    'backbone.aggregator': ('backbone.aggregator',),
    'backbone.camera_head': ('backbone.camera_head',),
    'backbone.depth_head': ('backbone.depth_head',),
    'backbone.dpt2pixeldecoder': ('backbone.token_pyramid',),
    'sem_seg_head': ('pixel_decoder', 'panoptic_head'),
    'sem_seg_head.pixel_decoder': ('pixel_decoder',),
    'sem_seg_head.predictor': ('panoptic_head.decoder',),
    'sem_seg_head.depth_projector': ('panoptic_head.depth_projector',),
    'sem_seg_head.occupancy_module': ('panoptic_head.plane_occupancy',),
    'projector': ('frustum_branch.feature_projector',),
    'completion': ('frustum_branch.decoder',),
}


def steps_per_epoch(draft: Draft) -> int | None:
    """Optimiser steps of an epoch; ``None`` if nothing says how long one is."""
    if draft.is_given('train.iters_per_epoch'):
        return int(draft['train.iters_per_epoch'])
    path = Path(str(draft['dataset.train.json_path'] or '-')).expanduser()
    if not path.is_file():
        return None
    images = len(json.loads(path.read_text(encoding='utf-8')))
    processes = num_processes(draft, 'train') * draft['train.num_nodes']
    return math.ceil(images / (draft['dataset.train.batch_size'] * processes))


_HOW_TO_COUNT = (
    'it counts epochs, and the length of one is not known: dataset.train.json_path '
    'cannot be read. Set train.iters_per_epoch'
)


def length(draft: Draft, value: Value) -> None:
    """Train for num_epochs or max_steps, whichever ends first."""
    steps = draft[_MAX_STEPS]
    epoch = steps_per_epoch(draft)
    if epoch is None:
        draft.note(f'num_epochs is left out: {_HOW_TO_COUNT}')
    else:
        steps = min(steps, draft['train.num_epochs'] * epoch)
    if draft['train.is_dry_run']:
        steps = 1
    draft.set('train_cfg.max_iters', steps)


def schedule(draft: Draft, value: Value) -> None:
    """Set how the learning rate falls."""
    kind = str(draft[f'{_OPTIM}.lr_scheduler']).lower()
    if kind == 'warmuppoly':
        draft.set('param_scheduler', _warmup_poly(draft))
    elif kind == 'multistep':
        draft.set('param_scheduler', _multi_step(draft))
    else:
        raise SpecError(
            f'must be WarmupPoly or MultiStep, got {draft[f"{_OPTIM}.lr_scheduler"]!r}'
        )
    if draft.only_given:
        length(draft, value)


def _warmup_poly(draft: Draft) -> list[dict]:
    steps, warmup = draft[_MAX_STEPS], draft[f'{_OPTIM}.warmup_iters']
    # One more than the horizon: mmengine reaches the end value one step before `end`.
    poly = dict(
        type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=steps + 1, by_epoch=False
    )
    if not warmup:
        return [poly]
    factor = draft[f'{_OPTIM}.warmup_factor']
    if not 0 < factor <= 1:
        raise SpecError(f'{_OPTIM}.warmup_factor must be above 0, at most 1: {factor}')
    linear = dict(
        type='LinearLR', start_factor=factor, begin=0, end=warmup + 1, by_epoch=False
    )
    return [linear, poly]


def _multi_step(draft: Draft) -> list[dict]:
    epoch = steps_per_epoch(draft)
    if epoch is None:
        raise SpecError(f'MultiStep cannot be converted: {_HOW_TO_COUNT}')
    milestones = [int(m * epoch) for m in draft[f'{_OPTIM}.milestones']]
    gamma = draft[f'{_OPTIM}.gamma']
    return [
        dict(type='MultiStepLR', milestones=milestones, gamma=gamma, by_epoch=False)
    ]


def checkpoint_interval(draft: Draft, value: Value) -> None:
    """Write a checkpoint every so many steps, and keep all of them."""
    interval = draft['train.checkpoint_interval']
    unit = draft['train.checkpoint_interval_unit']
    if unit not in ('epoch', 'step'):
        raise SpecError(f'checkpoint_interval_unit must be epoch or step, got {unit!r}')
    if unit == 'epoch':
        epoch = steps_per_epoch(draft)
        if epoch is None:
            draft.note(f'left as it is: {_HOW_TO_COUNT}')
            return
        interval *= epoch
    draft.set('default_hooks.checkpoint.interval', interval)
    draft.set('default_hooks.checkpoint.max_keep_ckpts', -1)


def validation_interval(draft: Draft, value: Value) -> None:
    """Validate every so many epochs, counted in steps here."""
    epoch = steps_per_epoch(draft)
    if draft['train.is_dry_run']:
        draft.set('train_cfg.val_interval', 1)
    elif epoch is None:
        draft.note(f'left as it is: {_HOW_TO_COUNT}')
    else:
        draft.set('train_cfg.val_interval', value * epoch)


def dry_run(draft: Draft, value: Value) -> None:
    """Train one step and validate one image."""
    if not value:
        draft.note('off')
        return
    length(draft, value)
    draft.set('train_cfg.val_interval', 1)
    draft.set('val_dataloader.dataset.indices', 1)


def seed(draft: Draft, value: Value) -> None:
    """Seed the run, or not."""
    draft.set('randomness.seed', value if value >= 0 else None)


def resume_from(draft: Draft, value: Value) -> None:
    """Go on with a run."""
    if value:
        draft.set('load_from', value)
        draft.set('resume', True)
        draft.allow_missing([])
    else:
        draft.note('the latest checkpoint in the results folder, if there is one')


def start_from(draft: Draft, value: Value) -> None:
    """Start from weights: a stage-2 checkpoint holds stage 1 too, so it goes first."""
    first, second = draft['train.checkpoint_2d'], draft['train.checkpoint_3d']
    if draft['train.resume_training_checkpoint_path']:
        draft.note('not read: the run is resumed')
    elif draft.stage == 2 and second:
        draft.set('load_from', second)
        draft.allow_missing([])
        if first:
            draft.note('checkpoint_2d is not read: checkpoint_3d holds stage 1 too')
    elif first:
        draft.set('load_from', first)
        draft.allow_missing(['frustum_branch'] if draft.stage == 2 else [])
    elif draft.stage == 2:
        raise SpecError('stage 2 needs the weights of stage 1: set train.checkpoint_2d')
    else:
        draft.note('not given')


def freeze(draft: Draft, value: Value) -> None:
    """Freeze parts by their published names, on top of what is always frozen."""
    frozen = list(draft.config['model'].get('frozen', ()))
    for name in value:
        published = str(name).removeprefix('model.')
        if published not in PARTS:
            raise SpecError(
                f'not supported here: {name!r} is no part that can be frozen'
                f'{nearest_name(published, PARTS)} Known: {sorted(PARTS)}'
            )
        parts = [p for p in PARTS[published] if draft.has(f'model.{p}')]
        frozen += [part for part in parts if not _covered(part, frozen)]
    draft.set('model.frozen', frozen)


def _covered(part: str, frozen: list[str]) -> bool:
    return any(part == name or part.startswith(f'{name}.') for name in frozen)


def precision(draft: Draft, value: Value) -> None:
    """Train in single precision, or with fp16 where NVIDIA's implementation stops."""
    if value == 'fp32':
        draft.set('optim_wrapper.type', 'OptimWrapper')
    elif value in ('fp16', 16, '16'):
        draft.set('optim_wrapper.type', 'AmpOptimWrapper')
        draft.set('optim_wrapper.loss_scale', 'dynamic')
    else:
        raise SpecError(f'must be fp32 or fp16, got {value!r}')


def backbone_rate(draft: Draft, value: Value) -> None:
    """Scale the learning rate of the backbone."""
    draft.set('optim_wrapper.paramwise_cfg', dict(lr_mults=dict(backbone=value)))


def deterministic(draft: Draft, value: Value) -> None:
    """Say why the switch is not passed on."""
    if value:
        draft.note(
            'not passed on: the host stops at operations without a deterministic '
            'kernel; randomness.deterministic=True switches it on'
        )
    else:
        draft.note('off')


TRAIN_KEYS: tuple[Key, ...] = (
    *process_keys('train'),
    mapped('train.seed', 1234, '`randomness.seed`; none if negative', seed),
    moved('train.cudnn.benchmark', False, 'env_cfg.cudnn_benchmark'),
    mapped(
        'train.cudnn.deterministic',
        True,
        'nothing by itself: runs are seeded; `randomness.deterministic=True` makes '
        'them strict',
        deterministic,
    ),
    mapped(
        'train.num_epochs',
        10,
        '`train_cfg.max_iters`, counted in steps; `max_steps` may end it sooner',
        length,
    ),
    mapped(
        'train.iters_per_epoch',
        None,
        "steps of an epoch, where the training index cannot be read; NVIDIA's "
        'implementation does not read it',
        says('steps of an epoch'),
    ),
    mapped(
        'train.checkpoint_interval',
        1,
        '`default_hooks.checkpoint.interval`, in steps; all are kept',
        checkpoint_interval,
    ),
    mapped(
        'train.checkpoint_interval_unit',
        'epoch',
        'unit of the above',
        joined('train.checkpoint_interval', checkpoint_interval),
    ),
    mapped(
        'train.validation_interval',
        1,
        '`train_cfg.val_interval`, in steps',
        validation_interval,
    ),
    mapped(
        'train.resume_training_checkpoint_path',
        None,
        '`load_from` and `resume=True`',
        resume_from,
    ),
    results_key('train'),
    mapped(
        'train.checkpoint_2d',
        '',
        '`load_from`, unless there is a `checkpoint_3d`',
        start_from,
    ),
    mapped(
        'train.checkpoint_3d',
        '',
        '`load_from` of stage 2',
        joined('train.checkpoint_2d', start_from),
    ),
    dead('train.val_check_interval', 5),
    mapped('train.freeze', [], '`model.frozen`, by published names of parts', freeze),
    moved('train.clip_grad_norm', 0.1, 'optim_wrapper.clip_grad.max_norm'),
    dead('train.clip_grad_norm_type', 2.0, 'the L2 norm is taken in any case'),
    dead('train.clip_grad_type', 'full', 'all parameters are clipped together'),
    mapped(
        'train.is_dry_run',
        False,
        '`train_cfg.max_iters=1` and one validation image',
        dry_run,
    ),
    mapped(
        'train.precision',
        'fp32',
        "`optim_wrapper.type`; fp16, which NVIDIA's implementation refuses, becomes "
        '`AmpOptimWrapper`',
        precision,
    ),
    fixed(
        'train.distributed_strategy',
        'ddp',
        'ddp',
        "NVIDIA's implementation has no fsdp either",
    ),
    moved('train.activation_checkpoint', True, 'model.backbone.activation_checkpoint'),
    dead('train.verbose', False),
    fixed(f'{_OPTIM}.type', 'AdamW', 'AdamW', 'the only documented optimiser'),
    dead(f'{_OPTIM}.monitor_name', 'val_loss', 'neither schedule monitors anything'),
    moved(f'{_OPTIM}.lr', 2e-4, 'optim_wrapper.optimizer.lr'),
    mapped(
        f'{_OPTIM}.backbone_multiplier',
        0.1,
        '`optim_wrapper.paramwise_cfg.lr_mults`',
        backbone_rate,
    ),
    dead(f'{_OPTIM}.momentum', 0.9, 'AdamW has its own'),
    moved(f'{_OPTIM}.weight_decay', 0.05, 'optim_wrapper.optimizer.weight_decay'),
    mapped(
        f'{_OPTIM}.lr_scheduler',
        'MultiStep',
        '`param_scheduler`: `PolyLR` for WarmupPoly, `MultiStepLR` for MultiStep',
        schedule,
    ),
    mapped(
        f'{_OPTIM}.milestones',
        [88, 96],
        '`MultiStepLR.milestones`, in steps',
        joined(f'{_OPTIM}.lr_scheduler', schedule),
    ),
    mapped(
        f'{_OPTIM}.gamma',
        0.1,
        '`MultiStepLR.gamma`',
        joined(f'{_OPTIM}.lr_scheduler', schedule),
    ),
    mapped(
        _MAX_STEPS,
        160000,
        '`train_cfg.max_iters` and the end of `PolyLR`',
        joined(f'{_OPTIM}.lr_scheduler', schedule),
    ),
    mapped(
        f'{_OPTIM}.warmup_factor',
        1.0,
        '`LinearLR.start_factor`',
        joined(f'{_OPTIM}.lr_scheduler', schedule),
    ),
    mapped(
        f'{_OPTIM}.warmup_iters',
        0,
        '`LinearLR.end`',
        joined(f'{_OPTIM}.lr_scheduler', schedule),
    ),
)
