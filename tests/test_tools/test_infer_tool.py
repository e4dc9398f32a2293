"""Which images ``tools/infer.py`` finds, and how it ends without any."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools import infer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ('b.png', 'a.JPG', 'c.jpeg', 'notes.txt', 'deep/d.png', 'deep/e.exr'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_files_globs_and_folders_are_expanded_in_order(folder: Path):
    def found(*patterns: str) -> list[str]:
        paths = infer.find_images([str(folder / pattern) for pattern in patterns])
        return [str(path.relative_to(folder)) for path in paths]

    assert found('') == ['a.JPG', 'b.png', 'c.jpeg']
    assert found('*.png') == ['b.png']
    assert found('**/*.*') == ['a.JPG', 'b.png', 'c.jpeg', 'deep/d.png']
    assert found('deep/d.png', '') == ['deep/d.png', 'a.JPG', 'b.png', 'c.jpeg']
    assert found('b.png', '*.png', 'b.png') == ['b.png']


@pytest.mark.parametrize(
    ('config', 'image', 'words'),
    [
        ('none.py', 'b.png', 'no config at'),
        ('none.py', '*.tif', 'fits no image'),
        ('none.py', 'deep/x', 'give png or jpg files'),
    ],
)
def test_what_is_not_there_is_named_without_a_traceback(
    folder: Path, monkeypatch, capsys, config: str, image: str, words: str
):
    words_of_command = [config, 'none.pth', str(folder / image), '--out', 'out']
    monkeypatch.setattr(sys, 'argv', ['infer.py', *words_of_command])
    assert infer.main() == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ') and words in error
    assert not Path('out').exists()
