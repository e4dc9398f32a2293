"""The set-up of the environment, on a machine that only pretends to install."""

from __future__ import annotations

import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from tools import bootstrap

WHEEL = 'mmcv-2.1.0-cp311-cp311-linux_x86_64.whl'
Usage = namedtuple('Usage', 'total used free')


class Machine:
    """Answers the commands of a set-up, and remembers them.

    Attributes:
        commands: The words of every command, pip's without the interpreter.
        environments: The variables that each was run with.
        failing: The first word of a pip command that fails.
        interrupted: Whether compiling is stopped half-way.
    """

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.environments: list[dict[str, str] | None] = []
        self.failing: str | None = None
        self.interrupted = False

    def run(
        self, command: list, env: dict[str, str] | None = None, **_options: object
    ) -> subprocess.CompletedProcess:
        words = [str(word) for word in command]
        if '-c' in words:  # a question to the environment's Python
            answer = 'None' if 'cuda' in words[-1] else self.version
            return subprocess.CompletedProcess(words, 0, stdout=f'{answer}\n')
        self.commands.append(words)
        self.environments.append(env)
        if '-m' in words and 'venv' in words:
            python = Path(words[-1]) / 'bin' / 'python'
            python.parent.mkdir(parents=True, exist_ok=True)
            python.touch()
        if 'wheel' in words:
            wheel = Path(words[words.index('-w') + 1]) / WHEEL
            wheel.write_bytes(b'half')
            if self.interrupted:
                raise KeyboardInterrupt
            wheel.write_bytes(b'whole')
        return subprocess.CompletedProcess(words, int(self.failing in words))

    version = '3.11'

    def text(self) -> str:
        return '\n'.join(' '.join(words) for words in self.commands)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with a compiler, where nothing was installed yet."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip('the pinned environment is for Python 3.11')
    machine = Machine()
    root = tmp_path / 'clone'
    (root / 'requirements').mkdir(parents=True)
    for name in ('build', 'runtime', 'test', 'torch'):
        (root / 'requirements' / f'{name}.txt').write_text(f'{name}==1\n')
    include = tmp_path / 'include'
    include.mkdir()
    (include / 'Python.h').touch()
    monkeypatch.setattr(bootstrap, 'ROOT', root)
    monkeypatch.setattr(bootstrap, 'VENV', root / '.venv')
    monkeypatch.setattr(bootstrap, 'STAMP', root / '.venv' / 'mmp3d-ready')
    monkeypatch.setenv('MMP3D_CACHE', str(tmp_path / 'cache'))
    monkeypatch.delenv('CXX', raising=False)
    monkeypatch.setattr(subprocess, 'run', machine.run)
    monkeypatch.setattr(bootstrap.shutil, 'which', lambda name: f'/usr/bin/{name}')
    monkeypatch.setattr(bootstrap.sysconfig, 'get_path', lambda name: str(include))
    return machine


def test_the_first_time_installs_and_says_what_it_does(machine: Machine, capsys):
    bootstrap.main([])
    out = capsys.readouterr().out
    assert 'about 9 min' in out and 'building mmcv 2.1.0' in out and '4/4' in out
    assert 'ready after' in out
    text = machine.text()
    steps = (
        '-m venv',
        'torch==2.13.0',
        'runtime.txt',
        'test.txt',
        'wheel',
        WHEEL,
        '-e',
    )
    places = [text.index(step) for step in steps]
    assert places == sorted(places)
    assert 'torchvision' not in text  # cannot be imported beside a CPU build
    assert (bootstrap.cache_dir() / WHEEL).read_bytes() == b'whole'


def test_the_second_time_does_nothing(machine: Machine, capsys):
    bootstrap.main([])
    machine.commands.clear()
    capsys.readouterr()
    bootstrap.main([])
    assert machine.commands == []
    assert capsys.readouterr().out == ''


def test_a_changed_requirement_installs_again_and_compiles_nothing(
    machine: Machine, capsys
):
    bootstrap.main([])
    machine.commands.clear()
    (bootstrap.ROOT / 'requirements' / 'runtime.txt').write_text('runtime==2\n')
    bootstrap.main([])
    assert 'runtime.txt' in machine.text()
    assert 'wheel -q' not in machine.text() and '-m venv' not in machine.text()
    assert 'about 3 min' in capsys.readouterr().out
    machine.commands.clear()
    bootstrap.main([])
    assert machine.commands == []


def test_repair_goes_through_all_steps_again(machine: Machine):
    bootstrap.main([])
    machine.commands.clear()
    bootstrap.main(['--repair'])
    assert 'runtime.txt' in machine.text() and '--force-reinstall' in machine.text()


def test_an_interrupted_compilation_leaves_no_wheel(machine: Machine):
    machine.interrupted = True
    with pytest.raises(KeyboardInterrupt):
        bootstrap.main([])
    assert list(bootstrap.cache_dir().iterdir()) == []
    assert not bootstrap.STAMP.exists()
    machine.interrupted = False
    bootstrap.main([])
    assert (bootstrap.cache_dir() / WHEEL).read_bytes() == b'whole'
    assert [path.name for path in bootstrap.cache_dir().iterdir()] == [WHEEL]


def test_a_failing_installation_stops_and_is_taken_up_again(machine: Machine):
    machine.failing = '-e'
    with pytest.raises(SystemExit, match='finished steps are kept'):
        bootstrap.main([])
    machine.failing = None
    machine.commands.clear()
    bootstrap.main([])
    assert 'wheel -q' not in machine.text()  # compiled already
    assert bootstrap.STAMP.is_file()


def test_the_cpu_build_of_mmcv_does_not_look_for_a_gpu(machine: Machine):
    bootstrap.main([])
    (environment,) = (
        env
        for words, env in zip(machine.commands, machine.environments, strict=True)
        if 'wheel' in words
    )
    assert environment['CUDA_VISIBLE_DEVICES'] == ''
    assert (environment['MMCV_WITH_OPS'], environment['FORCE_CUDA']) == ('1', '0')


def test_the_cuda_variable_asks_for_cuda_builds(tmp_path: Path):
    program = (
        'import sys\n'
        'from tools import bootstrap as b\n'
        'sys.stdout.write(f"{b.FLAVOUR} {b.TORCH_PIN} {b.cache_dir()}")'
    )
    found = {
        value: subprocess.run(
            [sys.executable, '-c', program],
            cwd=Path(bootstrap.__file__).parents[1],
            env={'MMP3D_CUDA': value, 'MMP3D_CACHE': str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for value in ('0', '1')
    }
    assert found['0'][:2] == ['cpu', 'torch==2.13.0']
    # Also where the index has both builds, and where the CPU one is installed already.
    assert found['1'][:2] == ['cuda', 'torch==2.13.0,!=2.13.0+cpu']
    assert found['0'][2] != found['1'][2]


def test_cuda_installs_torchvision_and_needs_nvcc(machine: Machine, monkeypatch):
    monkeypatch.setattr(bootstrap, 'CUDA', True)
    bootstrap.main([])
    assert 'torchvision==0.28.0' in machine.text()
    monkeypatch.setattr(
        bootstrap.shutil, 'which', lambda name: None if name == 'nvcc' else name
    )
    with pytest.raises(SystemExit, match='needs nvcc'):
        bootstrap.main(['--repair'])


def test_an_unfinished_environment_is_made_anew(machine: Machine, capsys):
    bootstrap.main([])
    machine.commands.clear()
    machine.version = '3.9'
    bootstrap.main(['--repair'])
    assert '--clear' in machine.text()
    assert 'of another Python' in capsys.readouterr().out


def test_a_machine_that_cannot_do_it_hears_why(machine: Machine, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(bootstrap.sys, 'version_info', (3, 9, 2))
        with pytest.raises(SystemExit, match=r'Python 3\.11 is needed'):
            bootstrap.check_machine()
    with monkeypatch.context() as patch:
        patch.setattr(bootstrap.shutil, 'which', lambda name: None)
        with pytest.raises(SystemExit, match='no C\\+\\+ compiler'):
            bootstrap.check_machine()
    with monkeypatch.context() as patch:
        patch.setattr(bootstrap.sysconfig, 'get_path', lambda name: '/nowhere')
        with pytest.raises(SystemExit, match=r'Python\.h is missing'):
            bootstrap.check_machine()
    with monkeypatch.context() as patch:
        usage = Usage(10, 9, 2**30)
        patch.setattr(bootstrap.shutil, 'disk_usage', lambda path: usage)
        with pytest.raises(SystemExit, match=r'3 GiB of disk space, .* 1\.0 GiB free'):
            bootstrap.check_machine()
    machine.failing = 'venv'
    with pytest.raises(SystemExit, match=r'apt-get install python3\.11-venv'):
        bootstrap.main([])


def test_a_compiled_wheel_makes_the_compiler_needless(machine: Machine, monkeypatch):
    bootstrap.main([])
    monkeypatch.setattr(bootstrap.shutil, 'which', lambda name: None)
    bootstrap.main(['--repair'])
