"""The steps of ``make demo``: every command fits the tool and the config it is for."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from tools import demo
from tools import test as test_tool
from tools import train as train_tool
from tools.dataset_converters import make_synthrooms

METRICS = {key: 0.5 for _, key in demo.COLUMNS}


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands of a demo in which nothing is computed."""
    recorded: list[list[str]] = []

    def run(*command: object) -> None:
        words = list(map(str, command))
        recorded.append(words)
        if '--work-dir' in words and words[0] == 'tools/test.py':
            folder = Path(words[words.index('--work-dir') + 1]) / 'time'
            folder.mkdir(parents=True)
            (folder / 'scalars.json').write_text(json.dumps(METRICS) + '\n')

    monkeypatch.setattr(demo, 'run', run)
    monkeypatch.setattr(demo, 'write_untrained', lambda config, path: path)
    words = [
        'demo.py',
        '--out',
        str(tmp_path / 'out'),
        '--data',
        str(tmp_path / 'data'),
    ]
    monkeypatch.setattr(sys, 'argv', words)
    demo.main()
    assert '0.500' in (tmp_path / 'out' / 'table.md').read_text()
    return recorded


def _configs(
    commands: list[list[str]], name: str, monkeypatch: pytest.MonkeyPatch
) -> list[Config]:
    tool = {'train': train_tool, 'test': test_tool}[name]
    seen: list[Config] = []
    runner = SimpleNamespace(train=lambda: None, test=lambda: None)
    monkeypatch.setattr(
        Runner, 'from_cfg', classmethod(lambda cls, cfg: (seen.append(cfg), runner)[1])
    )
    monkeypatch.setenv('LOCAL_RANK', '0')
    for words in commands:
        if words[0] == f'tools/{name}.py':
            monkeypatch.setattr(sys, 'argv', words)
            tool.main()
    return seen


def test_the_demo_runs_the_whole_line(commands, monkeypatch, capsys):
    tools = [Path(words[0]).stem for words in commands]
    assert tools == ['make_synthrooms', *['train'] * 2, *['test'] * 3, 'infer']
    for words in commands:
        assert (demo.ROOT / words[0]).is_file()

    rooms = make_synthrooms.parse_args(commands[0][1:])
    first, second = _configs(commands, 'train', monkeypatch)
    assert second.load_from == f'{first.work_dir}/iter_{first.train_cfg.max_iters}.pth'
    for cfg in (first, second):
        iters = cfg.train_cfg.max_iters
        warm_up, decay = cfg.param_scheduler
        assert warm_up.end == decay.begin <= iters
        assert decay.end == iters == cfg.default_hooks.checkpoint.interval
        dataset = cfg.train_dataloader.dataset
        assert Path(dataset.data_root) == Path(rooms.out)
        # What is generated is what the config reads.
        assert dataset.grid.dims[0] == rooms.grid
    tested = _configs(commands, 'test', monkeypatch)
    assert [Path(cfg.load_from).name for cfg in tested] == [
        'untrained.safetensors',
        f'iter_{second.train_cfg.max_iters}.pth',
        demo.SHIPPED.name,
    ]
    for cfg in tested:
        assert Path(cfg.test_dataloader.dataset.data_root) == Path(rooms.out)


def test_the_shipped_weights_are_small_and_tell_where_they_are_from():
    assert demo.SHIPPED.stat().st_size <= 20 * 2**20
    assert demo.SHIPPED.with_suffix('.json').is_file()


def test_a_step_that_fails_stops_the_demo(monkeypatch):
    monkeypatch.setattr(
        demo.subprocess, 'run', lambda *a, **k: SimpleNamespace(returncode=3)
    )
    with pytest.raises(SystemExit, match=r'tools/train\.py failed with exit code 3'):
        demo.run('tools/train.py', 'config.py')
