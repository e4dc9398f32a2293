"""The README's table of options says what the code says."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import projects.NvPanoptix3D.nvpanoptix3d  # noqa: F401  registers the modules
from mmp3d.registry import METRICS, MODELS

README = Path(__file__).resolve().parents[3] / 'projects' / 'NvPanoptix3D' / 'README.md'


def _rows() -> list[tuple[str, str]]:
    text = README.read_text().partition('## Options that weights depend on')[2]
    rows = re.findall(
        r'^\| (`.*?) \| `(.*?)`', text.partition('\n## ')[0], re.MULTILINE
    )
    return [(name, default) for names, default in rows for name in names.split(', ')]


def test_documented_defaults_are_those_of_the_code():
    rows = _rows()
    assert len(rows) == 14
    for name, documented in rows:
        kind, option = name.strip('`').split('.')
        module = MODELS.get(kind) or METRICS.get(kind)
        default = inspect.signature(module).parameters[option].default
        assert ast.literal_eval(documented) == default, name
