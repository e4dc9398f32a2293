"""Each repair of the host libraries, against the failure it is there for."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import mmengine.runner.runner
import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub

from mmp3d.utils.host_repairs import (
    plain_values,
    rebuild_history_buffer,
    repair_host,
)

ROOT = Path(__file__).resolve().parents[2]


def test_log_buffers_survive_safe_loading(tmp_path: Path):
    repair_host()
    hub = MessageHub('repairs')
    for value in (3.0, 1.0, 2.0):
        hub.update_scalar('train/loss', value)
    torch.save(hub.state_dict(), tmp_path / 'hub.pth')
    loaded = torch.load(tmp_path / 'hub.pth', weights_only=True)
    buffer = loaded['log_scalars']['train/loss']
    assert buffer.data[0].tolist() == [3.0, 1.0, 2.0]
    assert buffer.mean() == 2.0
    buffer.update(6.0)
    assert buffer.current() == 6.0


def test_numpy_scalars_become_numbers(tmp_path: Path):
    repair_host()
    state = OrderedDict(eta=np.float64(1.5), nested=[(np.int64(2), 'a'), torch.ones(2)])
    assert type(plain_values(state)['eta']) is float
    path = tmp_path / 'a.pth'
    mmengine.runner.runner.save_checkpoint(state, str(path))
    loaded = torch.load(path, weights_only=True)
    assert loaded['eta'] == 1.5 and loaded['nested'][0] == (2, 'a')
    assert [p.name for p in tmp_path.iterdir()] == ['a.pth']


def test_arbitrary_functions_stay_forbidden(tmp_path: Path):
    class Malicious:
        def __reduce__(self):
            return getattr, ('text', 'upper')

    torch.save({'x': Malicious()}, tmp_path / 'bad.pth')
    with pytest.raises(pickle.UnpicklingError, match='getattr'):
        torch.load(tmp_path / 'bad.pth', weights_only=True)


def test_rebuilt_buffer_keeps_its_length_limit():
    ones = torch.ones(5, dtype=torch.float64)
    buffer = rebuild_history_buffer(ones, ones, 5)
    buffer.update(7.0)
    np.testing.assert_array_equal(buffer.data[0], [1, 1, 1, 1, 7])
    assert isinstance(buffer, HistoryBuffer)


@pytest.mark.skipif(
    torch.cuda.is_available(), reason='concerns machines without a CUDA device'
)
def test_two_cpu_processes_can_be_started(tmp_path: Path):
    script = tmp_path / 'two.py'
    script.write_text(
        'import mmp3d.registry, torch\n'
        'from mmengine.dist import all_reduce, init_dist\n'
        "init_dist('pytorch')\n"
        'x = torch.ones(1)\n'
        'all_reduce(x)\n'
        "import sys; sys.stdout.write(f'sum {x.item()};')\n"
    )
    command = ['-m', 'torch.distributed.run', '--nproc_per_node=2', '--standalone']
    done = subprocess.run(
        [sys.executable, *command, str(script)],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count('sum 2.0;') == 2


_UNFINISHED = """
import sys, time, torch
from torch import distributed
import mmp3d.registry

store, rank, held = sys.argv[1], int(sys.argv[2]), sys.argv[3] == 'held'
distributed.init_process_group(
    'gloo', init_method=f'file://{store}', rank=rank, world_size=2
)
group = distributed.group.WORLD if held else None
distributed.barrier()
sys.setswitchinterval(1000)  # keep the interpreter's lock from gloo's threads
distributed.all_reduce(torch.ones(100), async_op=True)
end = time.monotonic() + 1
while time.monotonic() < end:
    pass
"""


@pytest.mark.parametrize('group', ['free', 'held'])
def test_a_process_ends_well_while_gloo_drops_a_tensor(tmp_path: Path, group: str):
    processes = [
        subprocess.Popen(
            [sys.executable, '-c', _UNFINISHED, tmp_path / 'store', str(rank), group],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'},
        )
        for rank in (0, 1)
    ]
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
