"""No recorded fixture is left aside: every file fits the pattern of some test."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
from golden import golden_files, load

PATTERNS = [
    pattern
    for path in Path(__file__).parent.glob('test_*.py')
    for pattern in re.findall(r"golden_files\(\s*'([^']+)'", path.read_text())
    if pattern != '*.npz'
]


@pytest.mark.parametrize('path', golden_files('*.npz'))
def test_some_test_runs_this_file(path: Path):
    assert [p for p in PATTERNS if fnmatch(path.name, p)], f'no test runs {path.name}'
    assert load(path).outputs or load(path).inputs
