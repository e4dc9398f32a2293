"""Imports point down: a room may use itself and the layers below it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Rooms of one layer are siblings and never import each other, but for the last ones.
LAYERS = (
    ('utils', 'registry'),
    ('structures',),
    ('geometry', 'fileio'),
    ('sparse',),
    ('models', 'datasets', 'evaluation', 'visualization'),
    ('engine', 'apis', 'deploy', 'testing', 'doctor', 'tao'),
)
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
FREE_SIBLINGS = {'utils', 'registry', *LAYERS[-1]}


def imported_modules(path: Path) -> list[str]:
    """Absolute names of everything a file imports."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: relative import'
            names.append(node.module)
            names += [f'{node.module}.{alias.name}' for alias in node.names]
    return names


def forbidden_imports(path: Path, own_room: str) -> list[str]:
    """What a file of a room imports from rooms that it may not see."""
    found = []
    for name in imported_modules(path):
        parts = name.split('.')
        if parts[0] == 'projects':
            found.append(name)
        if parts[0] != 'mmp3d' or len(parts) < 2 or parts[1] not in LEVEL:
            continue
        room = parts[1]
        if room == own_room:
            continue
        same = LEVEL[room] == LEVEL[own_room]
        if LEVEL[room] > LEVEL[own_room] or (same and room not in FREE_SIBLINGS):
            found.append(name)
    return found


FILES = sorted((ROOT / 'mmp3d').rglob('*.py'))


@pytest.mark.parametrize('path', FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path: Path):
    room = path.relative_to(ROOT / 'mmp3d').parts[0].removesuffix('.py')
    if room == '__init__':
        return
    assert room in LEVEL, f'{path}: unknown room {room!r}'
    found = forbidden_imports(path, room)
    assert not found, f'{path.relative_to(ROOT)}: {room} may not import {found}'


def test_upward_import_is_found(tmp_path: Path):
    path = tmp_path / 'x.py'
    path.write_text('from mmp3d.datasets import Front3DDataset\n')
    assert forbidden_imports(path, 'models')
    assert forbidden_imports(path, 'geometry')
    assert not forbidden_imports(path, 'engine')


def test_projects_do_not_import_each_other():
    for project in (ROOT / 'projects').iterdir():
        for path in project.rglob('*.py') if project.is_dir() else ():
            for name in imported_modules(path):
                if name.startswith('projects.'):
                    assert name.split('.')[1] == project.name, f'{path}: {name}'


def test_every_room_introduces_itself():
    for init in (ROOT / 'mmp3d').rglob('__init__.py'):
        doc = ast.get_docstring(ast.parse(init.read_text()))
        assert doc, f'{init.relative_to(ROOT)} has no docstring'
