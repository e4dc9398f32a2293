"""What the keys below ``train`` and ``wandb`` become."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path

from mmp3d.tao.draft import (
    Draft,
    Key,
    dead,
    fixed,
    joined,
    mapped,
    moved,
    says,
    unsupported,
)
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


def num_processes(draft: Draft, action: str) -> int:
    """Processes per machine: the larger one of num_gpus and the length of gpu_ids."""
    return max(draft[f'{action}.num_gpus'], len(draft[f'{action}.gpu_ids']))


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


def wandb(draft: Draft, value: Value) -> None:
    """Log to Weights and Biases if the spec says so and the package is there."""
    if not draft.is_given('wandb.enable') or not draft['wandb.enable']:
        draft.note('off')
        return
    if importlib.util.find_spec('wandb') is None:
        draft.note('off: the package wandb is not installed (pip install wandb)')
        return
    names = ('project', 'entity', 'group', 'tags', 'reinit', 'sync_tensorboard')
    options = {name: draft[f'wandb.{name}'] for name in (*names, 'save_code', 'name')}
    options = {name: item for name, item in options.items() if item not in (None, '')}
    if draft['wandb.run_id']:
        options.update(id=draft['wandb.run_id'], resume='allow')
    backends = [
        dict(type='LocalVisBackend'),
        dict(type='WandbVisBackend', init_kwargs=options),
    ]
    draft.set('visualizer.vis_backends', backends)


def _process_keys(action: str) -> tuple[Key, ...]:
    text = 'processes that `mmp3d.tao` starts; `tools/dist_*.sh CONFIG N`'
    return (
        mapped(f'{action}.num_gpus', 1, text, says('number of processes')),
        mapped(
            f'{action}.gpu_ids',
            [0],
            'GPUs that `mmp3d.tao` shows to the processes',
            says('GPUs that are used'),
        ),
        mapped(
            f'{action}.num_nodes',
            1,
            'machines; NODE_RANK, MASTER_ADDR and MASTER_PORT say which one this is',
            says('number of machines'),
        ),
    )


def _results_key(action: str) -> Key:
    return mapped(
        f'{action}.results_dir',
        '',
        f'folder of the results; `results_dir`/{action} if empty',
        joined('results_dir', lambda draft, value: results_folder(draft, value)),
    )


def results_folder(draft: Draft, value: Value) -> None:
    """Set where everything goes: the action's folder, or a folder in the common one."""
    own = draft[f'{draft.action}.results_dir'] or ''
    common = draft['results_dir'] or ''
    if own or common:
        draft.set('work_dir', own or str(Path(common) / draft.action))
    else:
        draft.note(f'results/{draft.action}')


def _wandb_keys() -> tuple[Key, ...]:
    values: dict[str, Value] = dict(
        enable=True,
        project='TAO Toolkit',
        entity=None,
        group=None,
        tags=['tao-toolkit'],
        reinit=False,
        sync_tensorboard=False,
        save_code=False,
        name='TAO Toolkit Training',
        run_id=None,
    )
    text = '`visualizer.vis_backends`: `WandbVisBackend`, if it is given as True'
    return tuple(
        mapped(
            f'wandb.{name}',
            default,
            text if name == 'enable' else '`init_kwargs` of `WandbVisBackend`',
            wandb if name == 'enable' else joined('wandb.enable', wandb),
        )
        for name, default in values.items()
    )


TRAIN_KEYS: tuple[Key, ...] = (
    *_process_keys('train'),
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
    _results_key('train'),
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
    *_wandb_keys(),
)

RUN_KEYS: tuple[Key, ...] = (
    mapped(
        'results_dir',
        '',
        '`work_dir`: a folder per action below it',
        lambda draft, value: results_folder(draft, value),
    ),
    unsupported(
        'model_name',
        '',
        "it serves NVIDIA's model-agnostic launcher, which is not here",
    ),
    unsupported(
        'encryption_key', '', 'checkpoints are plain files; encrypted ones are refused'
    ),
    *_process_keys('evaluate'),
    mapped(
        'evaluate.checkpoint',
        '',
        '`load_from` of the test',
        lambda draft, value: _load_for_test(draft, value),
    ),
    dead('evaluate.trt_engine', '', 'tao-deploy has no such model'),
    _results_key('evaluate'),
    dead('evaluate.batch_size', -1, '`dataset.test.batch_size` decides'),
    *_process_keys('inference'),
    mapped(
        'inference.checkpoint', '', 'weights of the inferencer', says('weights to load')
    ),
    dead('inference.trt_engine', '', 'tao-deploy has no such model'),
    _results_key('inference'),
    dead('inference.batch_size', -1, 'images go one by one'),
    dead('inference.mode', 'panoptic', 'the result is panoptic and holds the others'),
    mapped(
        'inference.images_dir',
        '',
        'folder whose png and jpg files are reconstructed',
        says('folder to read'),
    ),
)


def _load_for_test(draft: Draft, value: Value) -> None:
    draft.allow_missing([])
    if value:
        draft.set('load_from', value)
    else:
        draft.note('not given')


_LATER = 'export comes with deployment, which is not there yet'

EXPORT_KEYS: tuple[Key, ...] = (
    unsupported('export.results_dir', '', _LATER),
    unsupported('export.gpu_id', 0, _LATER),
    unsupported('export.checkpoint', '', _LATER),
    dead('export.onnx_file', ''),
    unsupported('export.on_cpu', False, _LATER),
    dead('export.input_channel', 3, 'images have three channels'),
    unsupported('export.input_width', 960, _LATER),
    unsupported('export.input_height', 544, _LATER),
    unsupported('export.opset_version', 17, _LATER),
    unsupported('export.batch_size', -1, _LATER),
    unsupported('export.verbose', False, _LATER),
    dead('export.format', 'onnx'),
    unsupported('export.onnx_file_2d', '', _LATER),
    dead('export.onnx_file_3d', '', 'the 3D model is never exported'),
    dead('export.max_voxels', 700000),
    *(
        dead(f'gen_trt_engine.{name}', default, 'TAO has no code for it')
        for name, default in dict(
            results_dir='',
            gpu_id=0,
            onnx_file='',
            trt_engine='',
            timing_cache='',
            batch_size=-1,
            verbose=False,
        ).items()
    ),
    *(
        dead(f'gen_trt_engine.tensorrt.{name}', default, 'TAO has no code for it')
        for name, default in dict(
            workspace_size=1024,
            min_batch_size=1,
            opt_batch_size=1,
            max_batch_size=1,
            layers_precision=[],
            data_type='FP32',
        ).items()
    ),
)
