from __future__ import annotations

import pickle

import pytest

from mmp3d.fileio import (
    CorruptFileError,
    IndexRecord,
    atomic_write,
    check_label_map,
    read_index,
    read_json,
    safe_join,
    write_index,
    write_json,
    write_label_map,
)
from mmp3d.structures import FRONT3D


def _record(**changes) -> dict:
    return {'scene_id': 'a', 'image_id': '0', 'height': 24, 'width': 32} | changes


def test_json_survives_a_round_trip(tmp_path):
    value = {'größe': [1, 2.5, None, True], 'b': {'c': 'd'}}
    write_json(tmp_path / 'a.json', value)
    assert read_json(tmp_path / 'a.json') == value


def test_broken_json_is_named(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('[{"scene_id": "a", ')
    with pytest.raises(CorruptFileError, match=r'a\.json: not a readable JSON'):
        read_json(path)
    path.write_bytes(b'\xff\xfe\x00')
    with pytest.raises(CorruptFileError, match='not a readable JSON'):
        read_json(path)
    with pytest.raises(ValueError, match='JSON compliant'):
        write_json(path, float('nan'))


def test_the_index_survives_a_round_trip(tmp_path):
    records = [
        IndexRecord('a', '0008', 240, 320),
        IndexRecord('b-c', '1_4', 24, 32, file_name='other/x.png'),
    ]
    write_index(tmp_path / 'a.json', records)
    assert read_index(tmp_path / 'a.json') == records
    assert records[1].sample_id == 'b-c_1_4'


def test_an_empty_index_is_an_index(tmp_path):
    write_index(tmp_path / 'a.json', [])
    assert read_index(tmp_path / 'a.json') == []


@pytest.mark.parametrize(
    ('entries', 'words'),
    [
        ({'images': []}, 'expected a JSON list of records, got a dict'),
        (['a'], "record 0: expected an object, got 'a'"),
        (
            [_record(), {'scene_id': 'a'}],
            r"record 1: .* missing \['height', 'image_id'",
        ),
        ([_record(split='train')], r"unknown \['split'\]"),
        ([_record(scene_id='../../etc')], 'scene_id must be a plain name'),
        ([_record(image_id='..')], 'image_id must be a plain name'),
        ([_record(scene_id=7)], 'scene_id must be a plain name'),
        ([_record(height=0)], 'height must be a positive integer in pixels, got 0'),
        ([_record(width='32')], "width must be a positive integer in pixels, got '32'"),
        ([_record(file_name=3)], 'file_name must be a string'),
        ([_record(), _record()], "sample 'a_0' is listed twice"),
    ],
)
def test_a_wrong_index_is_refused(tmp_path, entries, words):
    write_json(tmp_path / 'a.json', entries)
    with pytest.raises(CorruptFileError, match=words):
        read_index(tmp_path / 'a.json')


def test_the_label_map_agrees_with_its_label_space(tmp_path):
    path = tmp_path / 'colormap.json'
    write_label_map(path, FRONT3D)
    check_label_map(path, FRONT3D)
    entries = read_json(path)
    assert [entry['trainId'] for entry in entries] == list(range(1, 13))
    assert entries[0] == {
        'name': 'cabinet',
        'color': [220, 20, 60],
        'isthing': 1,
        'id': 1,
        'trainId': 1,
    }


@pytest.mark.parametrize(
    ('entries', 'words'),
    [
        ({}, 'expected a JSON list of classes'),
        ([{'name': 'bed'}], 'expected objects with name and trainId'),
        ([{'name': 'bed', 'trainId': 37}], 'unknown class id 37'),
        ([{'name': 'bed', 'trainId': 3}], r"class 3 is .* = \('bed', True\)"),
        ([{'name': 'bed', 'trainId': 2, 'isthing': 0}], 'Correct the file'),
    ],
)
def test_a_wrong_label_map_is_refused(tmp_path, entries, words):
    write_json(tmp_path / 'a.json', entries)
    with pytest.raises(CorruptFileError, match=words):
        check_label_map(tmp_path / 'a.json', FRONT3D)


@pytest.mark.parametrize(
    'relative', ['', '..', '../a', 'a/../../b', '/etc/passwd', 'C:\\a', 'a\0b']
)
def test_paths_that_leave_the_root_are_refused(tmp_path, relative):
    with pytest.raises(ValueError, match='must be relative and stay inside'):
        safe_join(tmp_path, relative)


def test_paths_below_the_root_are_joined(tmp_path):
    assert safe_join(tmp_path, 'a/./b/../c.png') == tmp_path / 'a' / 'c.png'


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('old')
    with (
        pytest.raises(RuntimeError, match='power cut'),
        atomic_write(path) as temporary,
    ):
        temporary.write_text('half')
        raise RuntimeError('power cut')
    assert path.read_text() == 'old'
    assert [p.name for p in tmp_path.iterdir()] == ['a.txt']


def test_the_error_survives_the_way_from_a_worker():
    error = CorruptFileError('a.png', 'broken')
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is CorruptFileError
    assert (str(copy), copy.path, copy.problem) == (str(error), error.path, 'broken')
