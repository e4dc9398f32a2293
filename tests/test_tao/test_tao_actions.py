"""The command line: what it starts, and what it refuses."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from test_tao.spec_samples import sample, write_spec

from mmp3d.fileio import CorruptFileError, read_npz, write_safetensors
from mmp3d.structures import (
    LabelSpace,
    PanopticReconstructionSample,
    PanopticSegmentation,
    Segment,
    VolumeData,
)
from mmp3d.tao import Spec, SpecError, convert
from mmp3d.tao.__main__ import main, run_together
from mmp3d.tao.actions import find_images, inference, launches, results_folder, share
from mmp3d.tao.checkpoints import check_converted
from mmp3d.tao.outputs import write_tao_outputs


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch):
    names = ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'NODE_RANK')
    for name in (*names, 'MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    return monkeypatch


def test_several_gpus_start_processes_that_talk(environment):
    spec = Spec({'train.num_gpus': 1, 'train.gpu_ids': [2, 5]})
    arguments = ['train', '-e', 'spec.yaml']
    assert launches(convert(spec, 'evaluate'), arguments) == []
    environment.setenv('NODE_RANK', '1')
    given = {
        **spec.given,
        'train.num_nodes': 3,
        'train.optim.lr_scheduler': 'WarmupPoly',
    }
    (launch,) = launches(convert(Spec(given)), arguments)
    assert '--nproc_per_node=2' in launch.command and '--nnodes=3' in launch.command
    assert '--node_rank=1' in launch.command
    assert launch.command[-5:] == ['-m', 'mmp3d.tao', *arguments]
    assert launch.environment == {'CUDA_VISIBLE_DEVICES': '2,5'}


def test_inference_starts_processes_that_share_the_images(environment, tmp_path: Path):
    environment.setenv('NODE_RANK', '1')
    spec = Spec({'inference.num_gpus': 2, 'inference.num_nodes': 2})
    found = launches(convert(spec, 'inference'), ['inference', '-e', 's.yaml'])
    assert [x.command[1:] for x in found] == [
        ['-m', 'mmp3d.tao', 'inference', '-e', 's.yaml']
    ] * 2
    ranks = [(x.environment['RANK'], x.environment['LOCAL_RANK']) for x in found]
    assert ranks == [('2', '0'), ('3', '1')]
    assert all(x.environment['WORLD_SIZE'] == '4' for x in found)


def test_a_machine_of_several_that_works_alone_takes_all_images(environment):
    images = [Path(f'{i}.png') for i in range(5)]
    environment.setenv('WORLD_SIZE', '2')  # as orchestrators set it
    environment.setenv('RANK', '1')
    assert share(images) == images
    environment.setenv('LOCAL_RANK', '0')
    assert share(images) == images[1::2]


def test_the_first_exit_code_counts_and_nobody_is_stopped(tmp_path: Path):
    commands = [
        (
            [
                sys.executable,
                '-c',
                f"open('{tmp_path}/{n}', 'w'); raise SystemExit({n})",
            ],
            {},
        )
        for n in (0, 3, 1)
    ]
    assert run_together(commands) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ['0', '1', '3']


def test_sigterm_is_passed_on(tmp_path: Path):
    wait = (
        'import os, signal, sys, time\n'
        'signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))\n'
        'os.kill(os.getppid(), signal.SIGTERM)\n'
        'time.sleep(60)\n'
    )
    before = signal.getsignal(signal.SIGTERM)
    assert run_together([([sys.executable, '-c', wait], {})]) == 75
    assert signal.getsignal(signal.SIGTERM) is before


def test_one_gpu_is_chosen_in_this_process(environment):
    spec = Spec({'evaluate.gpu_ids': [3]})
    assert launches(convert(spec, 'evaluate'), []) == []
    assert os.environ['CUDA_VISIBLE_DEVICES'] == '3'


def test_results_have_a_folder_per_action():
    assert results_folder(convert(Spec(), 'evaluate')) == Path('results/evaluate')
    given = {'results_dir': 'r', 'evaluate.results_dir': 'mine'}
    assert results_folder(convert(Spec(given), 'evaluate')) == Path('mine')
    assert results_folder(convert(Spec(given), 'inference')) == Path('r/inference')


def test_published_weights_get_the_command_that_converts_them(tmp_path: Path):
    raw = tmp_path / 'raw.pth'
    weights = {'model.sem_seg_head.predictor.query_feat.weight': torch.zeros(2)}
    torch.save({'state_dict': weights}, raw)
    with pytest.raises(
        SpecError, match=r'train\.checkpoint_2d.*convert_checkpoint\.py'
    ):
        check_converted('train.checkpoint_2d', raw)
    vggt = tmp_path / 'vggt.safetensors'
    write_safetensors(vggt, {'aggregator.camera_token': torch.zeros(2)}, {})
    with pytest.raises(SpecError, match='holds published weights'):
        check_converted('load', vggt)
    ours = tmp_path / 'ours.safetensors'
    write_safetensors(ours, {'backbone.aggregator.camera_token': torch.zeros(2)}, {})
    check_converted('load', ours)
    with pytest.raises(FileNotFoundError, match=r'load: no checkpoint at'):
        check_converted('load', tmp_path / 'none.pth')
    raw.rename(tmp_path / 'wrong.safetensors')
    with pytest.raises(CorruptFileError, match='not a readable safetensors file'):
        check_converted('load', tmp_path / 'wrong.safetensors')


def test_images_are_the_pictures_of_a_folder(tmp_path: Path):
    for name in ('b.PNG', 'a.jpg', 'c.txt'):
        (tmp_path / name).touch()
    assert [p.name for p in find_images(str(tmp_path))] == ['a.jpg', 'b.PNG']
    with pytest.raises(SpecError, match='must be a folder with png or jpg'):
        find_images(str(tmp_path / 'none'))
    conversion = convert(Spec({'inference.images_dir': str(tmp_path)}), 'inference')
    with pytest.raises(SpecError, match=r'set inference\.checkpoint='):
        inference(conversion)


def test_export_says_that_it_is_not_there_yet(tmp_path: Path, capsys):
    spec = write_spec(tmp_path, sample('front3d_2d'))
    assert main(['export', '-e', str(spec)]) == 2
    assert 'comes with deployment' in capsys.readouterr().err


def test_mistakes_end_with_a_message(tmp_path: Path, capsys):
    assert main(['train', '-e', str(tmp_path / 'none.yaml')]) == 2
    assert 'no spec at' in capsys.readouterr().err
    spec = write_spec(tmp_path, sample('front3d_3d'))
    assert main(['train', '-e', str(spec), 'train.num_gpu=2']) == 2
    assert 'did you mean train.num_gpus?' in capsys.readouterr().err
    assert main(['train', '-e', str(spec), 'train.checkpoint_2d=none.pth']) == 1
    assert 'no checkpoint at none.pth' in capsys.readouterr().err


def test_documented_arrays_are_written(tmp_path: Path):
    things = Segment(id=1, label=3, is_thing=True)
    image = PanopticSegmentation(torch.ones(4, 6, dtype=torch.int32), (things,))
    result = PanopticReconstructionSample(
        metainfo=dict(label_space=LabelSpace.named('front3d'))
    )
    result.pred_panoptic_seg = image
    result.pred_depth_map = PixelData(depth=torch.full((1, 4, 6), 2.0))
    path = write_tao_outputs(result, tmp_path)
    assert read_npz(path, 'depth_2d').shape == (4, 6)

    result.pred_plane_panoptic_seg = PanopticSegmentation(
        torch.ones(2, 3, dtype=torch.int32), (things,)
    )
    result.pred_plane_depth = PixelData(depth=torch.full((1, 2, 3), 1.5))
    result.pred_volume = VolumeData(tudf=torch.zeros(4, 5, 6))
    ids = torch.zeros(4, 5, 6, dtype=torch.int32)
    ids[1, 2, 3] = 1
    result.pred_volume_seg = PanopticSegmentation(ids, (things,))
    path = write_tao_outputs(result, tmp_path)
    arrays = {
        name: read_npz(path, name)
        for name in ('panoptic_seg_2d', 'depth_2d', 'geometry_3d', 'semantic_seg_3d')
    }
    assert arrays['panoptic_seg_2d'].shape == arrays['depth_2d'].shape == (2, 3)
    assert (
        arrays['panoptic_seg_2d'].dtype == arrays['semantic_seg_3d'].dtype == np.int32
    )
    assert arrays['depth_2d'].dtype == arrays['geometry_3d'].dtype == np.float32
    assert arrays['semantic_seg_3d'][1, 2, 3] == 3
    assert arrays['semantic_seg_3d'].sum() == 3
    assert read_npz(path, 'panoptic_seg_3d').sum() == 1
