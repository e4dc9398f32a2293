"""The report of what is installed."""

from __future__ import annotations

import builtins
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mmp3d import doctor
from mmp3d.doctor import Finding, check_package, examine, pinned_versions

ROOT = Path(__file__).resolve().parents[1]


def test_everything_required_is_there(capsys: pytest.CaptureFixture):
    assert doctor.main() == 0
    out = capsys.readouterr().out
    assert 'Ready.' in out
    assert not [f.name for f in examine() if f.required]
    for name in ('torch', 'mmcv operators', 'device', 'sparse backend', 'free memory'):
        assert f'ok {name}' in out or f'-  {name}' in out, name


def test_a_missing_package_comes_with_its_remedy():
    finding = check_package('nothing', 'no_such_module', True, 'make repair')
    assert finding.required
    assert finding.value == 'missing'
    assert 'no_such_module' in finding.problem and 'make repair' in finding.problem


def test_a_package_that_breaks_on_import_is_told(tmp_path, monkeypatch):
    (tmp_path / 'breaks_on_import.py').write_text("raise OSError('no libfoo.so')\n")
    monkeypatch.syspath_prepend(tmp_path)
    finding = check_package('torch', 'breaks_on_import', True, 'make repair')
    assert (finding.value, finding.required) == ('broken', True)
    assert 'no libfoo.so' in finding.problem


def test_another_version_than_the_tested_one_is_told():
    finding = check_package('numpy', 'numpy', True, 'make repair', pin='0.1')
    assert '0.1 is what was tested' in finding.problem
    assert not finding.required
    build = torch.__version__.partition('+')[0]  # the build's name does not matter
    assert not check_package('torch', 'torch', True, '', pin=build).problem


def test_the_pins_are_read_where_they_stand(tmp_path: Path):
    pins = pinned_versions(ROOT / 'requirements')
    assert {'torch', 'mmcv', 'mmdet', 'mmdet3d', 'numpy', 'spconv-cu120'} <= set(pins)
    assert pinned_versions(tmp_path / 'nowhere') == {}


def test_the_doctor_runs_without_torch(monkeypatch, capsys):
    real = builtins.__import__

    def without_torch(name: str, *args: object) -> object:
        if name.partition('.')[0] in ('torch', 'mmcv'):
            raise ModuleNotFoundError(f'No module named {name!r}')
        return real(name, *args)

    monkeypatch.setattr(builtins, '__import__', without_torch)
    assert doctor.check_device().required
    finding = doctor.check_ops()
    assert finding.required and 'make repair' in finding.problem
    monkeypatch.setattr(doctor, 'examine', lambda: [finding])
    assert doctor.main() == 1
    assert 'Not ready: mmcv operators' in capsys.readouterr().out


def test_little_space_is_told_with_what_is_needed(monkeypatch):
    monkeypatch.setattr(doctor.os, 'sysconf', lambda name: 1)
    usage = SimpleNamespace(free=doctor.GIB)
    monkeypatch.setattr(doctor.shutil, 'disk_usage', lambda path: usage)
    memory, disk = doctor.check_space()
    assert isinstance(memory, Finding)
    assert 'tiny model wants 3 GiB' in memory.problem
    assert 'environment takes 2 GiB' in disk.problem


def test_a_gpu_beside_a_cpu_build_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(doctor.shutil, 'which', lambda name: '/usr/bin/nvidia-smi')
    assert 'MMP3D_CUDA=1 make repair' in doctor.check_device().problem
