"""Training that can be trusted: the promises of docs/training.md on the real stages."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from torch import distributed, nn
from torch.autograd.graph import saved_tensors_hooks

from mmp3d.datasets import SeededIndex
from mmp3d.registry import DATASETS, MODELS
from mmp3d.structures import CameraBatch
from tools.analysis.check_resume import contents, differences, main

ROOT = Path(__file__).resolve().parents[2]
MakeConfig = Callable[[int, Path], Config]
Wholes = dict[int, 'Whole']
BACKENDS = {
    name: importlib.util.find_spec(name) is not None
    for name in ('tensorboard', 'wandb')
}
two_cpu_processes = pytest.mark.skipif(
    torch.cuda.is_available(), reason='two CPU processes; this machine has a GPU'
)
# The tiny model in smaller: what is tested here does not depend on its size.
SMALL = {
    'backbone': dict(
        input_width=112,
        embed_dim=48,
        patch_embed=dict(embed_dim=48, img_size=112),
        depth_head=dict(features=16, out_channels=(8, 16, 16, 16)),
        token_pyramid=dict(hidden_channels=16, out_channels=(8, 16, 24, 32)),
    ),
    'pixel_decoder': dict(
        in_channels=(8, 16, 24, 32),
        channels=24,
        mask_channels=24,
        num_layers=1,
        num_groups=4,
        feedforward_channels=32,
    ),
    'panoptic_head': dict(
        decoder=dict(
            channels=24,
            mask_channels=24,
            num_queries=12,
            num_layers=3,  # one for each level of the pyramid
            feedforward_channels=32,
        ),
        depth_projector=dict(in_channels=16, channels=24),
        plane_occupancy=dict(
            in_channels=(8, 16, 24, 32), decoder_channels=(8, 8, 8, 4, 4)
        ),
        criterion=dict(num_points=128),
    ),
}
SMALL_3D = dict(
    feature_projector=dict(in_channels=16, channels=16),
    decoder=dict(query_dim=24, in_channels=(2, 40, 13, 16), coarse_channels=40),
)


class Whole:
    """A run that nothing interrupted, and what it logged."""

    def __init__(self, runner: Runner) -> None:
        self.folder = Path(runner.work_dir)
        self.history = _history(runner)

    def checkpoint(self, iteration: int) -> dict:
        return torch.load(self.folder / f'iter_{iteration}.pth', weights_only=True)


def _history(runner: Runner) -> dict[str, list[float]]:
    """All that was logged of the iterations and of the validations."""
    scalars = runner.message_hub.log_scalars.items()
    return {
        name: buffer.data[0].tolist()
        for name, buffer in scalars
        if not name.endswith('time')
    }


def _train(cfg: Config) -> Runner:
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


@pytest.fixture(scope='module')
def three_images(rooms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of three images, so that two processes have to share one of them."""
    index = [
        record
        for split in ('train', 'val')
        for record in json.loads((rooms / 'meta' / f'{split}.json').read_text())
    ]
    path = tmp_path_factory.mktemp('index') / 'three.json'
    path.write_text(json.dumps(index))
    return path


@pytest.fixture(scope='module')
def small_config(tiny_config: MakeConfig, three_images: Path) -> MakeConfig:
    """Gives a run of four iterations that can stop in the middle of an epoch."""

    def make(stage: int, work_dir: Path) -> Config:
        cfg = tiny_config(stage, work_dir)
        parts = dict(SMALL) if stage == 1 else dict(SMALL, frustum_branch=SMALL_3D)
        cfg.merge_from_dict({'model': deepcopy(parts)})
        for split in ('train', 'val'):
            cfg[f'{split}_dataloader'].dataset.ann_file = str(three_images)
        cfg.train_cfg.update(max_iters=4, val_interval=9)
        cfg.param_scheduler = [dict(type='PolyLR', power=0.9, end=5, by_epoch=False)]
        # Otherwise Adam's first step is as large for a gradient of rounding errors.
        cfg.optim_wrapper.optimizer.update(lr=1e-4, eps=1e-2, fused=False)
        cfg.default_hooks.checkpoint.update(interval=1, max_keep_ckpts=4)
        cfg.log_level = 'WARNING'
        # Runs of one process share a visualizer of the same name.
        cfg.visualizer.name = cfg.experiment_name
        return cfg

    return make


@pytest.fixture(scope='module')
def whole(small_config: MakeConfig, tmp_path_factory: pytest.TempPathFactory) -> Wholes:
    """Four iterations of both stages; validation after the second; two workers."""
    folder = tmp_path_factory.mktemp('whole')
    runs: Wholes = {}
    for stage in (1, 2):
        cfg = small_config(stage, folder / f'stage{stage}')
        cfg.train_cfg.val_interval = 2
        cfg.train_dataloader.update(num_workers=2, persistent_workers=True)
        if stage == 2:
            cfg.load_from = str(runs[1].folder / 'iter_4.pth')
        else:
            _watch(cfg)
        runs[stage] = Whole(_train(cfg))
    return runs


def _watch(cfg: Config) -> None:
    """Add the backends that are installed, and draw a panel."""
    if BACKENDS['tensorboard']:
        cfg.visualizer.vis_backends.append(dict(type='TensorboardVisBackend'))
    if BACKENDS['wandb']:
        options = dict(project='mmp3d', mode='offline')
        cfg.visualizer.vis_backends.append(
            dict(type='WandbVisBackend', init_kwargs=options)
        )
    cfg.default_hooks.visualization.update(draw=True, interval=3)


@pytest.mark.parametrize('stage', [1, 2])
def test_a_resumed_run_equals_one_that_never_stopped(
    stage: int, whole: Wholes, small_config: MakeConfig, tmp_path: Path
):
    cfg = small_config(stage, tmp_path / 'resumed')
    cfg.train_dataloader.update(num_workers=2, persistent_workers=True)
    cfg.load_from, cfg.resume = str(whole[stage].folder / 'iter_1.pth'), True
    cfg.default_hooks.checkpoint.interval = 4
    _train(cfg)  # without the validation in the middle
    expected = whole[stage].checkpoint(4)
    found = torch.load(tmp_path / 'resumed' / 'iter_4.pth', weights_only=True)
    for name in [n for n in expected['message_hub']['log_scalars'] if 'val/' in n]:
        del expected['message_hub']['log_scalars'][name]
    assert not differences(expected, found)
    assert differences(whole[stage].checkpoint(3), found)
    assert len(contents(found)['history.train/loss']) == 4
    assert found['meta']['data_order']['position'] == 8


def test_a_resume_outside_the_run_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r'--stop must lie .* got 40'):
        main(['x.py', '--work-dir', str(tmp_path), '--stop', '40'])


def _in_process(rank: int, configs: list[Config], folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ['LOCAL_RANK'] = str(rank)
    distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2
    )
    runs = []
    for cfg in configs:
        runner = _train(cfg)
        assert not runner.model.find_unused_parameters
        runs.append(_history(runner))
    torch.save(runs, folder / f'rank_{rank}.pth')
    distributed.destroy_process_group()


@two_cpu_processes
def test_two_processes_equal_one_with_their_global_batch(
    whole: Wholes, small_config: MakeConfig, tmp_path: Path
):
    configs = []
    for stage in (1, 2):
        cfg = small_config(stage, tmp_path / f'stage{stage}')
        cfg.train_cfg.update(max_iters=2, val_interval=2)
        cfg.train_dataloader.batch_size = 1
        cfg.launcher = 'pytorch'
        if stage == 2:
            cfg.load_from = str(whole[1].folder / 'iter_4.pth')
        configs.append(cfg)
    context = multiprocessing.get_context('fork')
    processes = [
        context.Process(target=_in_process, args=(rank, configs, tmp_path))
        for rank in (0, 1)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(600)
        assert process.exitcode == 0
    for rank in (0, 1):
        runs = torch.load(tmp_path / f'rank_{rank}.pth')
        for stage, found in zip((1, 2), runs, strict=True):
            expected = whole[stage].history
            metrics = {name for name in expected if name.startswith('val/')}
            assert {'val/image/PQ', 'val/depth/abs_rel'} <= metrics
            assert ('val/reconstruction/PRQ' in metrics) == (stage == 2)
            assert found.keys() == expected.keys()
            for name, values in expected.items():
                count = 1 if name in metrics else 2
                # In stage 2 rounding decides on single voxels at the threshold.
                rel = {1: 1e-4, 2: 1e-2 if 'norm' in name else 1e-3}[stage]
                assert found[name][:count] == pytest.approx(
                    values[:count], rel=rel, abs=1e-6
                ), (rank, stage, name)
    for stage in (1, 2):
        found = torch.load(tmp_path / f'stage{stage}' / 'iter_2.pth', weights_only=True)
        expected = whole[stage].checkpoint(2)
        torch.testing.assert_close(
            found['state_dict'], expected['state_dict'], rtol=1e-4, atol=1e-5
        )
        start = whole[1].checkpoint(4)['state_dict'] if stage == 2 else {}
        for name, value in start.items():  # frozen, with its buffers
            assert torch.equal(found['state_dict'][name], value), name


@two_cpu_processes
def test_two_nodes_equal_one_process(
    whole: Wholes, small_config: MakeConfig, tmp_path: Path
):
    cfg = small_config(1, tmp_path / 'work')
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.train_dataloader.batch_size = 1
    cfg.dump(tmp_path / 'config.py')
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    common = dict(PYTHON=sys.executable, OMP_NUM_THREADS='1', PORT=str(port))
    nodes = [
        subprocess.Popen(
            ['bash', ROOT / 'tools' / 'dist_train.sh', tmp_path / 'config.py', '1'],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **common, 'NNODES': '2', 'NODE_RANK': str(rank)},
        )
        for rank in (0, 1)
    ]
    for node in nodes:
        _, errors = node.communicate()
        assert node.returncode == 0, errors[-3000:]
    (log,) = (tmp_path / 'work').glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    history = whole[1].history
    losses = [line['loss'] for line in lines if 'loss' in line]
    # The second line is the mean of both.
    first, second = history['train/loss'][:2]
    assert losses == pytest.approx([first, (first + second) / 2], rel=1e-4)
    for name in ('image/PQ', 'image/DPQ', 'depth/abs_rel', 'depth/rmse'):
        expected = history[f'val/{name}'][0]
        assert lines[-1][name] == pytest.approx(expected, rel=1e-4), name


def test_the_number_of_processes_reaches_torchrun(tmp_path: Path):
    command = ['bash', ROOT / 'tools' / 'dist_train.sh', 'x.py', '2', '--amp']
    settings = dict(PYTHON='echo', NNODES='3', NODE_RANK='1', MASTER_ADDR='10.0.0.1')
    line = subprocess.check_output(
        command, text=True, env={**os.environ, **settings, 'PORT': '29511'}
    )
    for option in (
        '-m torch.distributed.run --nnodes=3 --node_rank=1',
        '--master_addr=10.0.0.1 --master_port=29511 --nproc_per_node=2',
        'tools/train.py x.py --launcher pytorch --amp',
    ):
        assert option in line


def _batch(cfg: Config) -> dict:
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    return pseudo_collate([dataset[SeededIndex(i, seed=7 + i)] for i in (0, 1)])


def _model(cfg: Config, state: dict | None = None) -> nn.Module:
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    if state is not None:
        model.load_state_dict(state)
    return model.train()


def test_recomputation_changes_memory_but_no_number(
    small_config: MakeConfig, tmp_path: Path
):
    cfg = small_config(1, tmp_path)
    batch, found = _batch(cfg), []
    for recompute in (False, True):
        cfg.model.backbone.activation_checkpoint = recompute
        model, saved = _model(cfg), {}

        def keep(tensor: torch.Tensor, saved: dict = saved) -> torch.Tensor:
            storage = tensor.untyped_storage()
            saved[storage.data_ptr()] = storage.nbytes()
            return tensor

        with saved_tensors_hooks(keep, lambda tensor: tensor):
            data = model.data_preprocessor(deepcopy(batch), training=True)
            losses = model(**data, mode='loss')
        sum(losses.values()).backward()
        gradients = {n: p.grad for n, p in model.named_parameters()}
        # Plain data parallelism waits for the gradient of every parameter.
        assert not [n for n, gradient in gradients.items() if gradient is None]
        found.append((losses, gradients, sum(saved.values())))
    (losses, gradients, everything), (again, gradients_again, less) = found
    torch.testing.assert_close(again, losses, rtol=0, atol=0)
    torch.testing.assert_close(gradients_again, gradients, rtol=1e-6, atol=1e-6)
    assert less < 0.7 * everything


def _in_float32(value: object) -> object:
    """A hand-over with all numbers in single precision."""
    if isinstance(value, torch.Tensor):
        return value.float() if value.is_floating_point() else value
    if is_dataclass(value):
        parts = {f.name: _in_float32(getattr(value, f.name)) for f in fields(value)}
        return replace(value, **parts)
    if isinstance(value, list | tuple):
        return type(value)(_in_float32(part) for part in value)
    return value


@pytest.mark.parametrize('stage', [1, 2])
def test_losses_of_bfloat16_predictions_are_computed_in_float32(
    stage: int, whole: Wholes, small_config: MakeConfig, tmp_path: Path
):
    cfg = small_config(stage, tmp_path)
    model = _model(cfg, whole[stage].checkpoint(4)['state_dict'])
    data = model.data_preprocessor(_batch(cfg), training=True)
    inputs: CameraBatch = data['inputs']
    samples = data['data_samples']
    cast = torch.autocast('cpu', torch.bfloat16)
    with cast, torch.no_grad():
        views = model.extract_views(inputs)
        assert views.final.mask_logits.dtype == torch.bfloat16
        if stage == 1:
            found = model.panoptic_head.loss(views, inputs, samples)
        else:
            matchings = model.panoptic_head.match(views, inputs, samples)
            planes = model.panoptic_head.segment(views, inputs, size='plane')
            frustum = model.frustum_branch(views, planes, inputs, True)
            found = model.frustum_branch.loss(frustum, inputs, samples, matchings)
    assert {loss.dtype for loss in found.values()} == {torch.float32}
    with torch.no_grad():
        if stage == 1:
            views = _in_float32(views)
            expected = model.panoptic_head.loss(views, inputs, samples)
        else:
            frustum = _in_float32(frustum)
            expected = model.frustum_branch.loss(frustum, inputs, samples, matchings)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('stage', [1, 2])
def test_bfloat16_trains_without_divergence(
    stage: int, whole: Wholes, small_config: MakeConfig, tmp_path: Path
):
    cfg = small_config(stage, tmp_path / 'work')
    cfg.optim_wrapper.type = 'AutocastOptimWrapper'
    cfg.optim_wrapper.optimizer.update(lr=2e-3, eps=1e-8)
    cfg.param_scheduler = [dict(type='ConstantLR', factor=1.0, by_epoch=False)]
    cfg.train_cfg.max_iters = 12
    cfg.train_dataloader.batch_size = 1
    cfg.train_dataloader.dataset.indices = 1
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.default_hooks.checkpoint.interval = 100
    if stage == 2:
        cfg.load_from = str(whole[1].folder / 'iter_4.pth')
    losses = _history(_train(cfg))['train/loss']
    assert len(losses) == 12
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])


def _logged_by_tensorboard(folder: Path) -> tuple[dict[str, list], dict[str, bytes]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={'scalars': 0, 'images': 0})
    events.Reload()
    scalars = {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()['scalars']
    }
    images = {
        tag: events.Images(tag)[0].encoded_image_string
        for tag in events.Tags()['images']
    }
    return scalars, images


@pytest.mark.skipif(
    not BACKENDS['tensorboard'], reason='needs tensorboard (pip install tensorboard)'
)
def test_tensorboard_gets_losses_rates_metrics_and_panels(whole: Wholes):
    (events,) = whole[1].folder.glob('*/vis_data/events.out.tfevents.*')
    scalars, images = _logged_by_tensorboard(events)
    history = whole[1].history
    for name in ('loss', 'loss_depth', 'd0.loss_mask', 'grad_norm', 'lr'):
        steps, values = zip(*scalars[name], strict=True)
        assert steps == (1, 2, 3, 4), name
        assert values[0] == pytest.approx(history[f'train/{name}'][0]), name
    for name in ('image/PQ', 'depth/abs_rel'):
        steps, values = zip(*scalars[name], strict=True)
        assert steps == (2, 4)
        assert values == pytest.approx(history[f'val/{name}'])
    ((name, panel),) = images.items()
    assert name.startswith('val_')
    assert _decode(panel).shape[1] > 600


def _decode(panel: bytes) -> torch.Tensor:
    buffer = torch.frombuffer(bytearray(panel), dtype=torch.uint8).numpy()
    return torch.from_numpy(cv2.imdecode(buffer, cv2.IMREAD_COLOR))


def _records(path: Path) -> Iterator[bytes]:
    """The messages of an offline run; fragments of blocks, as LevelDB's log has it."""
    data, place, message = path.read_bytes(), 7, b''
    while place + 7 <= len(data):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        size, kind = struct.unpack_from('<HB', data, place + 4)
        message += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # whole, or the last fragment
            yield message
            message = b''


@pytest.mark.skipif(not BACKENDS['wandb'], reason='needs wandb (pip install wandb)')
def test_wandb_offline_gets_losses_rates_metrics_and_panels(whole: Wholes):
    from wandb.proto.wandb_internal_pb2 import Record

    (run,) = whole[1].folder.glob('*/vis_data/wandb/offline-run-*')
    (log,) = run.glob('run-*.wandb')
    logged: dict[str, list] = {}
    for message in _records(log):
        for item in Record.FromString(message).history.item:
            name = item.key or '.'.join(item.nested_key)
            logged.setdefault(name, []).append(json.loads(item.value_json))
    history = whole[1].history
    for name in ('loss', 'loss_depth', 'd0.loss_mask', 'grad_norm', 'lr'):
        assert len(logged[name]) == 4
        assert logged[name][0] == pytest.approx(history[f'train/{name}'][0]), name
    for name in ('image/PQ', 'depth/abs_rel'):
        assert logged[name] == pytest.approx(history[f'val/{name}'])
    (panel, *_) = (run / 'files' / 'media' / 'images').glob('val_*.png')
    assert _decode(panel.read_bytes()).shape[1] > 600
