"""The converter: every published tensor is accounted for."""

import json
import sys
from pathlib import Path

import pytest
import torch
from golden import FOLDER
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmp3d.fileio import read_checkpoint, write_safetensors
from mmp3d.registry import MODELS
from projects.NvPanoptix3D.tools.convert_checkpoint import (
    ROOT,
    ConversionError,
    convert,
    convert_back,
    default_config,
    expected_shapes,
    main,
    recognise,
    write_converted,
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


def test_weights_of_matterport3d_have_no_coarse_inputs():
    inventory = _inventory('A_stage2_front3d_keys.json', 'model.')
    assert default_config(_on_meta(inventory)) == STAGE_2
    state = {
        name: tensor
        for name, tensor in _on_meta(inventory).items()
        if 'feature_adapters' not in name
    }
    config = default_config(state)
    assert config.name == 'nvpanoptix3d_vggt-l_stage2_matterport3d.py'
    assert convert(state, expected_shapes(config)).problems == []


@pytest.mark.parametrize('prefix', ['', 'module.', 'model.module.', 'model._orig_mod.'])
def test_prefixes_of_wrappers_are_taken_off(prefix):
    name = 'sem_seg_head.predictor.query_feat.weight'
    state = {f'{prefix}{name}': torch.ones(2), 'criterion.empty_weight': torch.ones(3)}
    result = convert(state, None)
    assert list(result.state) == ['panoptic_head.decoder.query_content.weight']
    assert list(result.dropped) == ['criterion.empty_weight']


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


@pytest.mark.parametrize('name', ['model.pt', 'model.safetensors'])
def test_the_tool_takes_both_files_of_vggt(tmp_path, monkeypatch, capsys, name):
    state = _small(_inventory('A_vggt1b_keys.json', ''))
    if name.endswith('.pt'):
        torch.save(state, tmp_path / name)
    else:
        write_safetensors(tmp_path / name, state, {})
    expected = {n: tuple(t.shape) for n, t in convert(state, None).state.items()}
    expected['panoptic_head.extra'] = (4,)
    module = sys.modules[convert.__module__]
    monkeypatch.setattr(module, 'expected_shapes', lambda config: expected)
    main([str(tmp_path / name), str(tmp_path / 'ours.safetensors')])
    printed = capsys.readouterr().out
    assert 'recognised as: VGGT' in printed
    assert '(point maps follow from depth and intrinsics)' in printed
    assert '(nothing is tracked in single images)' in printed
    assert 'not in such a file: 1 tensors of ours' in printed
    written = read_checkpoint(tmp_path / 'ours.safetensors')
    token = 'aggregator.camera_token'
    assert torch.equal(written[f'backbone.{token}'], state[token])
    with pytest.raises(SystemExit, match='expects weights of ours'):
        main([str(tmp_path / name), str(tmp_path / 'x.pth'), '--reverse'])


@pytest.mark.parametrize('stage', [1, 2])
def test_a_real_model_goes_there_and_back(tmp_path, capsys, stage):
    name = f'nvpanoptix3d_tiny_stage{stage}_synthrooms.py'
    config = ROOT / 'configs' / 'nvpanoptix3d' / name
    init_default_scope('mmp3d')
    model = MODELS.build(Config.fromfile(config).model)
    ours = model.state_dict()
    write_safetensors(tmp_path / 'ours.safetensors', ours, {})
    theirs, back = tmp_path / 'theirs.pth', tmp_path / 'back.safetensors'
    main([str(tmp_path / 'ours.safetensors'), str(theirs), '--reverse'])
    main([str(theirs), str(back), '--config', str(config)])
    assert f'recognised as: NVIDIA stage {stage}' in capsys.readouterr().out
    found = read_checkpoint(back)
    assert set(found) == set(ours)
    for name, tensor in ours.items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.skipif(
    not Path('/proc/self/clear_refs').exists(), reason='needs /proc of Linux'
)
@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_conversion_takes_little_more_memory_than_the_file(tmp_path, suffix):
    large = 'model.backbone.aggregator.frame_blocks.'
    inventory = {
        name: entry
        for name, entry in _inventory('A_stage2_front3d_keys.json', 'model.').items()
        if name.startswith(('model.completion', *(f'{large}{i}.' for i in (0, 1, 2))))
    }
    state = {n: torch.ones(shape, dtype=d) for n, (shape, d) in inventory.items()}
    source = tmp_path / f'theirs{suffix}'
    if suffix == '.pth':
        torch.save({'state_dict': state}, source)
    else:
        write_safetensors(source, state, {})
    del state
    size = source.stat().st_size
    assert size > 180e6
    before = _memory('VmRSS')
    Path('/proc/self/clear_refs').write_text('5')  # resets the peak
    target = tmp_path / 'ours.safetensors'
    write_converted(convert(read_checkpoint(source), expected=None), source, target)
    assert _memory('VmHWM') - before <= 1.3 * size
    assert target.stat().st_size == pytest.approx(size, rel=0.01)


def _memory(name):
    lines = Path('/proc/self/status').read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f'{name}:'))
    return int(line.split()[1]) * 1024


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
    kernel = {'completion.level_encoders.0.0.conv1.kernel': torch.ones(2)}
    torch.save({'model': kernel, 'iteration': 3}, tmp_path / 'theirs.pth')
    with pytest.raises(SystemExit, match=r"Uni-3D's, which fit no model here"):
        main([str(tmp_path / 'theirs.pth'), str(tmp_path / 'ours.safetensors')])
    with pytest.raises(SystemExit, match='nothing is there'):
        main([str(tmp_path / 'missing.pth'), str(tmp_path / 'ours.safetensors')])
