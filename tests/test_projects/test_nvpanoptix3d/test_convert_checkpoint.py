"""The converter: every published tensor is accounted for."""

import json
import sys
from pathlib import Path

import pytest
import torch
from golden import FOLDER

from mmp3d.fileio import read_checkpoint
from projects.NvPanoptix3D.tools.convert_checkpoint import (
    ROOT,
    ConversionError,
    convert,
    convert_back,
    expected_shapes,
    main,
    recognise,
)

CONFIG = ROOT / 'configs' / 'nvpanoptix3d' / 'nvpanoptix3d_vggt-l_{}.py'
STAGE_1, STAGE_2 = (
    Path(str(CONFIG).format(stage)) for stage in ('stage1_front3d', 'stage2_front3d')
)
KINDS = [
    pytest.param('A_stage1_front3d_keys.json', 'model.', STAGE_1, id='stage1'),
    pytest.param('A_stage2_front3d_keys.json', 'model.', STAGE_2, id='stage2'),
    pytest.param('A_vggt1b_keys.json', '', STAGE_1, id='vggt'),
]


def _inventory(name, prefix):
    if not (FOLDER / name).is_file():
        pytest.skip(f'no {name} in {FOLDER}')
    keys = json.loads((FOLDER / name).read_text())['keys']
    return {
        prefix + key: (tuple(entry['shape']), getattr(torch, entry['dtype']))
        for key, entry in keys.items()
    }


def _on_meta(inventory):
    return {
        name: torch.empty(shape, dtype=dtype, device='meta')
        for name, (shape, dtype) in inventory.items()
    }


def _small(inventory):
    """The same names with few numbers: at most 3 per axis, kernel taps kept."""
    state = {}
    for name, (shape, dtype) in inventory.items():
        kept = 1 if name.startswith('model.completion') and len(shape) == 3 else 0
        shape = (*shape[:kept], *(min(n, 3) for n in shape[kept:]))
        state[name] = torch.randint(-9, 9, shape).to(dtype)
    return state


@pytest.mark.parametrize(('name', 'prefix', 'config'), KINDS)
def test_every_published_tensor_is_accounted_for_at_full_size(name, prefix, config):
    inventory = _inventory(name, prefix)
    result = convert(_on_meta(inventory), expected_shapes(config))
    assert result.problems == []
    assert len(result.state) + len(result.dropped) == len(inventory)
    assert all(result.dropped.values())
    sizes = {name: torch.Size(shape).numel() for name, (shape, _) in inventory.items()}
    taken = sum(tensor.numel() for tensor in result.state.values())
    assert taken == sum(sizes.values()) - sum(sizes[name] for name in result.dropped)


def test_a_vggt_file_fills_the_backbone_and_names_the_rest():
    inventory = _inventory('A_vggt1b_keys.json', '')
    result = convert(_on_meta(inventory), expected_shapes(STAGE_1))
    assert all(name.startswith('backbone.') for name in result.state)
    assert {name.partition('.')[0] for name in result.dropped} == {
        'aggregator',  # the mask token
        'point_head',
        'track_head',
    }
    pyramid = [n for n in result.initialised if n.startswith('backbone.')]
    assert len(pyramid) == 24
    assert all(name.startswith('backbone.token_pyramid.') for name in pyramid)


@pytest.mark.parametrize(('name', 'prefix', 'config'), KINDS[:2])
def test_there_and_back_gives_the_same_tensors(name, prefix, config):
    state = _small(_inventory(name, prefix))
    ours = convert(state, expected=None)
    back = convert_back(ours.state)
    assert back.problems == []
    assert set(back.state) == set(state) - set(ours.dropped)
    for key, tensor in back.state.items():
        assert torch.equal(tensor, state[key]), key
    again = convert(back.state, expected=None)
    assert set(again.state) == set(ours.state)
    for key, tensor in again.state.items():
        assert torch.equal(tensor, ours.state[key]), key


@pytest.mark.parametrize('suffix', ['.safetensors', '.pth'])
def test_the_tool_converts_files_both_ways(tmp_path, monkeypatch, capsys, suffix):
    state = _small(_inventory('A_stage1_front3d_keys.json', 'model.'))
    loss = {'criterion.empty_weight': torch.ones(14)}
    torch.save({'state_dict': state | loss, 'epoch': 1}, tmp_path / 'theirs.pth')
    expected = {n: tuple(t.shape) for n, t in convert(state, None).state.items()}
    module = sys.modules[convert.__module__]
    monkeypatch.setattr(module, 'expected_shapes', lambda config: expected)
    ours = tmp_path / 'ours.safetensors'
    main([str(tmp_path / 'theirs.pth'), str(ours)])
    assert 'recognised as: NVIDIA stage 1' in capsys.readouterr().out
    provenance = json.loads((tmp_path / 'ours.safetensors.json').read_text())
    assert provenance['source']['name'] == 'theirs.pth'
    assert len(provenance['output']['sha256']) == 64
    assert 'class weights' in provenance['dropped']['criterion.empty_weight']
    back = tmp_path / f'back{suffix}'
    main([str(ours), str(back), '--reverse'])
    for key, tensor in read_checkpoint(back).items():
        assert torch.equal(tensor, state[key]), key


def test_anything_unexplained_is_an_error(tmp_path, monkeypatch, capsys):
    state = _small(_inventory('A_stage1_front3d_keys.json', 'model.'))
    expected = {n: tuple(t.shape) for n, t in convert(state, None).state.items()}
    state['model.surprise.weight'] = torch.ones(2)
    state['model.sem_seg_head.pixel_decoder.mask_features.bias'] = torch.ones(5)
    del state['model.backbone.aggregator.camera_token']
    expected['panoptic_head.extra'] = (4,)
    result = convert(state, expected)
    assert result.problems == [
        'unknown name: model.surprise.weight (2,)',
        'missing: backbone.aggregator.camera_token',
        'missing: panoptic_head.extra',
        'shape: pixel_decoder.mask_feature.bias is (5,), our model has (3,)',
    ]
    torch.save(state, tmp_path / 'theirs.pth')
    module = sys.modules[convert.__module__]
    monkeypatch.setattr(module, 'expected_shapes', lambda config: expected)
    with pytest.raises(SystemExit, match='not converted'):
        main([str(tmp_path / 'theirs.pth'), str(tmp_path / 'ours.safetensors')])
    assert 'unexplained: 4' in capsys.readouterr().out
    assert not (tmp_path / 'ours.safetensors').exists()


def test_parts_that_a_config_switches_off_are_dropped_by_name():
    state = _small(_inventory('A_stage1_front3d_keys.json', 'model.'))
    expected = {
        name: tuple(tensor.shape)
        for name, tensor in convert(state, None).state.items()
        if 'camera_head' not in name
    }
    result = convert(state, expected)
    assert result.problems == []
    off = [reason for reason in result.dropped.values() if 'switched off' in reason]
    assert len(off) == 69


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ConversionError, match='first names are'):
        recognise({'layer1.weight': torch.ones(1)})
    ours = {'panoptic_head.decoder.norm.weight': torch.ones(1)}
    with pytest.raises(ConversionError, match='ours already'):
        convert(ours, None)
    with pytest.raises(ConversionError, match='expects weights of ours'):
        convert_back({'aggregator.camera_token': torch.ones(1)})
    torch.save({'state_dict_encrypted': b'123'}, tmp_path / 'theirs.pth')
    with pytest.raises(SystemExit, match='encrypted by NVIDIA TAO'):
        main([str(tmp_path / 'theirs.pth'), str(tmp_path / 'ours.safetensors')])
    with pytest.raises(SystemExit, match='nothing is there'):
        main([str(tmp_path / 'missing.pth'), str(tmp_path / 'ours.safetensors')])
