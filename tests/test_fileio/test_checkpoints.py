"""Weights on disk."""

import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from safetensors import safe_open
from safetensors.torch import save_file

from mmp3d.fileio import CorruptFileError, read_checkpoint, write_safetensors


class Evil:
    """Runs a command when unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f'touch {self.marker}',)


def _state():
    return {
        'a.weight': torch.rand(3, 5),
        'a.bias': torch.rand(3).to(torch.bfloat16),
        'bn.num_batches_tracked': torch.tensor(7),
        'mask': torch.tensor([True, False]),
        'empty': torch.zeros(0, 4, dtype=torch.float16),
    }


def _assert_same(found, expected):
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name


def test_safetensors_come_back(tmp_path):
    state = _state()
    state['transposed'] = torch.rand(4, 6).T
    write_safetensors(tmp_path / 'w.safetensors', state, {'origin': 'test'})
    _assert_same(read_checkpoint(tmp_path / 'w.safetensors'), state)
    with safe_open(tmp_path / 'w.safetensors', 'pt') as file:
        assert file.metadata() == {'origin': 'test'}


def test_the_same_weights_give_the_same_bytes(tmp_path):
    state = _state()
    write_safetensors(tmp_path / 'a.safetensors', state, {'x': '1', 'y': '2'})
    backwards = dict(reversed(state.items()))
    write_safetensors(tmp_path / 'b.safetensors', backwards, {'y': '2', 'x': '1'})
    assert (tmp_path / 'a.safetensors').read_bytes() == (
        tmp_path / 'b.safetensors'
    ).read_bytes()


def test_tensors_that_share_memory_are_written_twice(tmp_path):
    weight = torch.rand(2, 3)
    write_safetensors(tmp_path / 'w.safetensors', {'a': weight, 'b': weight}, {})
    _assert_same(
        read_checkpoint(tmp_path / 'w.safetensors'), {'a': weight, 'b': weight}
    )


def test_safetensors_are_recognised_by_content(tmp_path):
    state = _state()
    save_file(state, tmp_path / 'w.bin')
    _assert_same(read_checkpoint(tmp_path / 'w.bin'), state)


def test_an_empty_state_dict_is_written_and_read(tmp_path):
    write_safetensors(tmp_path / 'w.safetensors', {}, {})
    assert read_checkpoint(tmp_path / 'w.safetensors') == {}


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('wrapped', [True, False])
def test_torch_files_come_back(tmp_path, zipped, wrapped):
    state = OrderedDict(_state())
    content = {'state_dict': state, 'epoch': 3} if wrapped else state
    torch.save(content, tmp_path / 'w.pth', _use_new_zipfile_serialization=zipped)
    _assert_same(read_checkpoint(tmp_path / 'w.pth'), state)


def test_bookkeeping_of_trainers_is_passed_over(tmp_path):
    state = _state()
    buffer = HistoryBuffer([1.0, 2.0], [1, 1])
    content = {
        'state_dict': state,
        'message_hub': {'loss': buffer, 'lr': np.float64(0.1)},
        'hyper_parameters': {'array': np.arange(3)},
        'optimizer': torch.optim.AdamW(
            [torch.nn.Parameter(torch.rand(2))]
        ).state_dict(),
    }
    torch.save(content, tmp_path / 'epoch_1.pth')
    _assert_same(read_checkpoint(tmp_path / 'epoch_1.pth'), state)


def test_parameters_become_plain_tensors(tmp_path):
    torch.save({'w': torch.nn.Parameter(torch.rand(2))}, tmp_path / 'w.pth')
    assert type(read_checkpoint(tmp_path / 'w.pth')['w']) is torch.Tensor


def test_a_malicious_pickle_is_refused_and_not_run(tmp_path):
    marker = tmp_path / 'marker'
    for name, content in (
        ('bare', Evil(marker)),
        ('hidden', {'state_dict': _state(), 'extra': [Evil(marker)]}),
    ):
        path = tmp_path / f'{name}.pth'
        torch.save(content, path)
        with pytest.raises(CorruptFileError, match=rf'{name}.pth: .*foreign code') as e:
            read_checkpoint(path)
        assert 'system' in str(e.value) and 'safetensors' in str(e.value)
    path = tmp_path / 'plain.pkl'
    path.write_bytes(pickle.dumps(Evil(marker)))
    with pytest.raises(CorruptFileError, match=r'plain\.pkl: not a'):
        read_checkpoint(path)
    torch.save(Evil(marker), path, _use_new_zipfile_serialization=False)
    with pytest.raises(CorruptFileError, match='not a file of plain weights'):
        read_checkpoint(path)
    assert not marker.exists()


def test_encrypted_files_are_refused(tmp_path):
    content = {'state_dict_encrypted': b'\x00\x01', 'tao_model': 'panoptic_recon_3d'}
    torch.save(content, tmp_path / 'model.pth')
    with pytest.raises(CorruptFileError, match='encrypted by NVIDIA TAO'):
        read_checkpoint(tmp_path / 'model.pth')


def test_broken_files_are_refused(tmp_path):
    torch.save(_state(), tmp_path / 'w.pth')
    write_safetensors(tmp_path / 'w.safetensors', _state(), {})
    for name in ('w.pth', 'w.safetensors'):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:-60])
        with pytest.raises(CorruptFileError, match=rf'{name}: not a'):
            read_checkpoint(path)
    for name in ('empty.pth', 'empty.safetensors', 'text.pth'):
        (tmp_path / name).write_bytes(b'hello world, no weights' * ('text' in name))
        with pytest.raises(CorruptFileError, match=rf'{name}: not a'):
            read_checkpoint(tmp_path / name)
    with pytest.raises(FileNotFoundError, match='nothing is there'):
        read_checkpoint(tmp_path / 'missing.pth')


def test_files_without_a_state_dict_are_refused(tmp_path):
    for content, match in (
        ([torch.rand(2)], 'found a list'),
        ({'epoch': 3}, r"entries that are no tensors: \['epoch'\]"),
        ({'state_dict': {}}, 'found nothing'),
    ):
        torch.save(content, tmp_path / 'w.pth')
        with pytest.raises(CorruptFileError, match=match):
            read_checkpoint(tmp_path / 'w.pth')


def test_kinds_that_the_format_does_not_know_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"tensor 'c' .* is torch\.comp"):
        write_safetensors(
            tmp_path / 'w.safetensors', {'c': torch.zeros(2, dtype=torch.complex64)}, {}
        )
    assert not list(tmp_path.iterdir())
