"""What the keys of whole runs become: processes, folders, logs, and other actions."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from mmp3d.tao.draft import Draft, Key, dead, joined, mapped, says, unsupported
from mmp3d.tao.spec import Value


def num_processes(draft: Draft, action: str) -> int:
    """Processes per machine: the larger one of num_gpus and the length of gpu_ids."""
    return max(draft[f'{action}.num_gpus'], len(draft[f'{action}.gpu_ids']))


def process_keys(action: str) -> tuple[Key, ...]:
    """Give the keys that say how many processes run an action, and where."""
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


def results_folder(draft: Draft, value: Value) -> None:
    """Set where everything goes: the action's folder, or a folder in the common one."""
    own = draft[f'{draft.action}.results_dir'] or ''
    common = draft['results_dir'] or ''
    if own or common:
        draft.set('work_dir', own or str(Path(common) / draft.action))
    else:
        draft.note(f'results/{draft.action}')


def results_key(action: str) -> Key:
    """Give the key of an action's folder of results."""
    return mapped(
        f'{action}.results_dir',
        '',
        f'folder of the results; `results_dir`/{action} if empty',
        joined('results_dir', results_folder),
    )


def load_for_test(draft: Draft, value: Value) -> None:
    """Test these weights, complete."""
    draft.allow_missing([])
    if value:
        draft.set('load_from', value)
    else:
        draft.note('not given')


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


WANDB_KEYS = _wandb_keys()

RUN_KEYS: tuple[Key, ...] = (
    mapped(
        'results_dir',
        '',
        '`work_dir`: a folder per action below it',
        results_folder,
    ),
    unsupported(
        'model_name',
        '',
        "it serves NVIDIA's model-agnostic launcher, which is not here",
    ),
    unsupported(
        'encryption_key', '', 'checkpoints are plain files; encrypted ones are refused'
    ),
    *process_keys('evaluate'),
    mapped(
        'evaluate.checkpoint',
        '',
        '`load_from` of the test',
        load_for_test,
    ),
    dead('evaluate.trt_engine', '', 'tao-deploy has no such model'),
    results_key('evaluate'),
    dead('evaluate.batch_size', -1, '`dataset.test.batch_size` decides'),
    *process_keys('inference'),
    mapped(
        'inference.checkpoint', '', 'weights of the inferencer', says('weights to load')
    ),
    dead('inference.trt_engine', '', 'tao-deploy has no such model'),
    results_key('inference'),
    dead('inference.batch_size', -1, 'images go one by one'),
    dead('inference.mode', 'panoptic', 'the result is panoptic and holds the others'),
    mapped(
        'inference.images_dir',
        '',
        'folder whose png and jpg files are reconstructed',
        says('folder to read'),
    ),
)

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
