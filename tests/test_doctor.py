"""The report of what is installed."""

from __future__ import annotations

from mmp3d.doctor import check_package, examine


def test_everything_required_is_there():
    findings = examine()
    assert not [f.name for f in findings if f.required]
    assert {'torch', 'mmcv operators', 'device', 'sparse backend'} <= {
        f.name for f in findings
    }


def test_a_missing_package_comes_with_its_remedy():
    finding = check_package('nothing', 'no_such_module', True, 'make setup')
    assert finding.required
    assert finding.value == 'missing'
    assert 'no_such_module' in finding.problem and 'make setup' in finding.problem
