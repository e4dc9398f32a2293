"""The documentation names what is there, and its programs run."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from mmp3d.fileio import write_index
from mmp3d.registry import DATASETS
from tools.analysis import check_data

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / 'README.md',
    ROOT / 'CONTRIBUTING.md',
    *(ROOT / 'demo').glob('*.md'),
    *(ROOT / 'docs').glob('*.md'),
    *(ROOT / 'projects').glob('*/*.md'),
]
TOOLS = {path.name: path for path in (ROOT / 'tools').rglob('*.py')}
# `a/b.py` of this repository, not of others and not what a reader makes.
OURS = re.compile(
    r'(?<![\w./-])((?:configs|docs|demo|mmp3d|projects|requirements|tests|tools)'
    r'/[\w./{},*<>-]+\.(?:py|md|sh|safetensors|txt|png))\b'
)
MADE_UP = re.compile(r'(_mine|/my|/x)\.py$')


def _names(page: Path) -> set[str]:
    """Paths of files of this repository that a page names, braces written out."""
    found = set()
    for name in OURS.findall(page.read_text()):
        options = re.search(r'\{([\w,]+)\}', name)
        choices = options[1].split(',') if options else ['']
        found |= {name.replace(options[0], c) if options else name for c in choices}
    return {name for name in found if not MADE_UP.search(name)}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_and_links_are_there(page: Path):
    roots = (ROOT, page.parent, *(ROOT / 'projects').iterdir())
    missing = [n for n in _names(page) if not any(list(r.glob(n)) for r in roots)]
    text = page.read_text()
    for link in re.findall(r'\]\((?!https?:|#)([^)#]+)', text):
        if not (page.parent / link).exists():
            missing.append(link)
    assert not missing


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_options_are_those_of_the_tools(page: Path):
    commands = re.findall(
        r'python (?:\S*/)?(\w+\.py)((?:[^`\n]|\\\n)*)', page.read_text()
    )
    unknown = [
        f'{tool}: {option}'
        for tool, rest in commands
        if tool in TOOLS
        for option in re.findall(r'(?<!\w)--[a-z][\w-]*', rest.partition('#')[0])
        if f"'{option}'" not in TOOLS[tool].read_text()
    ]
    assert not unknown


def test_the_readme_leads_through_everything_in_order():
    headings = re.findall(r'^## (.+)$', (ROOT / 'README.md').read_text(), re.MULTILINE)
    wanted = ['Start', 'own images', 'Data', 'Train', 'weights', 'Deploy', 'Tests']
    places = [
        next((i for i, title in enumerate(headings) if word in title), None)
        for word in wanted
    ]
    assert None not in places and places == sorted(places), (wanted, headings)


def test_the_architecture_page_names_every_module_s_folder():
    text = (ROOT / 'docs' / 'architecture.md').read_text()
    rooms = {path.name for path in (ROOT / 'mmp3d').iterdir() if path.is_dir()}
    for room in rooms - {'__pycache__'}:
        assert f'── {room}/' in text, f'the page does not show mmp3d/{room}'
    straight_line = text.index('## 1. The straight line')
    assert straight_line < text.index('## 2.') and straight_line < 1500
    for tool in (ROOT / 'tools').rglob('*.py'):
        assert tool.stem in text, f'the page does not name {tool.name}'


def test_own_data_can_be_written_checked_and_loaded(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / 'docs' / 'own_data.md').read_text()
    program, config = re.findall(r'```python\n(.*?)```', page, re.DOTALL)
    small = 'dims=(16, 8, 24), voxel_size=0.48'
    program = re.sub(r'dims=\([\d, ]+\), voxel_size=[\d.]+', small, program)
    assert small in program
    space: dict = {}
    exec(compile(program, 'own_data.md', 'exec'), space)

    semantic = np.full((240, 320), 10, np.int16)
    semantic[150:], semantic[100:180, 40:200] = 11, 2
    instances = np.where(semantic == 2, 7, 0).astype(np.int16)
    depth = np.where(semantic == 2, 2.0, 3.0)
    depth[:9] = 0
    rgb = np.zeros((240, 320, 3), np.uint8)
    K = np.array([[300.0, 0, 160], [0, 310.0, 120], [0, 0, 1]])
    record = space['write_view']('room', 'p', rgb, depth, semantic, instances, K)
    for split in ('train', 'val', 'test'):
        write_index(f'data/mine/meta/{split}.json', [record])
    assert check_data.main(['data/mine']) == 0, capsys.readouterr().out

    mine = ROOT / 'configs' / 'nvpanoptix3d' / 'nvpanoptix3d_tiny_stage1_mine.py'
    for stage in (1, 2):
        base = config.replace('stage1', f'stage{stage}').replace(
            "'./", f"'{mine.parent}/"
        )
        (tmp_path / 'config.py').write_text(base)
        settings = Config.fromfile(tmp_path / 'config.py').train_dataloader.dataset
        assert settings.data_root == 'data/mine'
        settings.grid.update(dims=(16, 8, 24), voxel_size=0.48)
        for step in settings.pipeline:
            if step.type == 'RandomFlipReconstruction':
                step.prob = 0.0
        packed = DATASETS.build(settings)[0]
        sample = packed['data_samples']
        np.testing.assert_allclose(np.asarray(sample.K), K, rtol=1e-6)
        assert set(sample.gt_instances.labels.tolist()) == {2, 10, 11}
    volume = sample.gt_volume
    # The bed's front stands at z = 2 m, in voxel (2 - origin) / 0.48.
    z = round((2.0 - space['GRID'].origin_metres[2]) / 0.48)
    assert 2 in volume.semantic[:, :, z] and 7 in volume.instance_ids[:, :, z]


def test_the_python_of_the_pages_imports_what_there_is():
    imports = [
        (page.name, module, name.strip())
        for page in PAGES
        for module, block, line in re.findall(
            r'^from (mmp3d[\w.]*) import (?:\(([^)]+)\)|(.+))$',
            page.read_text(),
            re.MULTILINE,
        )
        for name in (block or line).split(',')
        if name.strip()
    ]
    assert {'README.md', 'own_data.md'} <= {page for page, _, _ in imports}
    for page, module, name in imports:
        assert hasattr(importlib.import_module(module), name), (page, module, name)
