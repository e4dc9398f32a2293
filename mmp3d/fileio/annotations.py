"""JSON files: any, the index of a dataset split, the label map."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

from mmp3d.fileio.errors import CorruptFileError, PathLike, existing_file
from mmp3d.fileio.paths import atomic_write
from mmp3d.structures import LabelSpace

Json: TypeAlias = dict | list | str | int | float | bool | None


def read_json(path: PathLike) -> Json:
    """Read a JSON file.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If it is no JSON.
    """
    path = existing_file(path)
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CorruptFileError(path, f'not a readable JSON file ({error})') from error


def write_json(path: PathLike, value: Json) -> None:
    """Write a JSON file; equal values give equal bytes.

    Raises:
        TypeError: If the value holds something that JSON has no word for.
        ValueError: If the value holds NaN or infinity.
    """
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    with atomic_write(path) as temporary:
        temporary.write_text(text + '\n', encoding='utf-8')


@dataclass(frozen=True)
class IndexRecord:
    """One image of a dataset split.

    Attributes:
        scene_id: Name of the scene's folder.
        image_id: Name of the image inside the scene.
        height: Rows of the image file.
        width: Columns of the image file.
        file_name: Path of the image below the dataset's root, where it is not the
            usual one.
    """

    scene_id: str
    image_id: str
    height: int
    width: int
    file_name: str | None = None

    @property
    def sample_id(self) -> str:
        """Unique name of the image in its dataset."""
        return f'{self.scene_id}_{self.image_id}'


def read_index(path: PathLike) -> list[IndexRecord]:
    """Read the list of images of a split.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If a record lacks a key, has an unknown one, a value of the
            wrong kind, a name that could leave the folder, or occurs twice.
    """
    entries = read_json(path)
    if not isinstance(entries, list):
        raise CorruptFileError(
            path, f'expected a JSON list of records, got a {type(entries).__name__}'
        )
    records = [_parse_record(path, i, entry) for i, entry in enumerate(entries)]
    seen: set[str] = set()
    for record in records:
        if record.sample_id in seen:
            raise CorruptFileError(
                path, f'sample {record.sample_id!r} is listed twice', 'Remove one.'
            )
        seen.add(record.sample_id)
    return records


def write_index(path: PathLike, records: Sequence[IndexRecord]) -> None:
    """Write the list of images of a split."""
    entries = [asdict(record) for record in records]
    for entry in entries:
        if entry['file_name'] is None:
            del entry['file_name']
    write_json(path, entries)


def _parse_record(path: PathLike, number: int, entry: Json) -> IndexRecord:
    def refuse(problem: str) -> CorruptFileError:
        return CorruptFileError(
            path, f'record {number}: {problem}', 'Correct the index file.'
        )

    if not isinstance(entry, dict):
        raise refuse(f'expected an object, got {entry!r}')
    required = {'scene_id', 'image_id', 'height', 'width'}
    missing = required - entry.keys()
    unknown = entry.keys() - required - {'file_name'}
    if missing or unknown:
        raise refuse(
            f'expected the keys {sorted(required)} and optionally file_name, missing '
            f'{sorted(missing)}, unknown {sorted(unknown)}'
        )
    for key in ('scene_id', 'image_id'):
        name = entry[key]
        if not isinstance(name, str) or not _is_plain_name(name):
            raise refuse(f'{key} must be a plain name without slashes, got {name!r}')
    for key in ('height', 'width'):
        size = entry[key]
        if type(size) is not int or size <= 0:
            raise refuse(f'{key} must be a positive integer in pixels, got {size!r}')
    file_name = entry.get('file_name')
    if file_name is not None and not isinstance(file_name, str):
        raise refuse(f'file_name must be a string, got {file_name!r}')
    return IndexRecord(**entry)


def _is_plain_name(name: str) -> bool:
    return name not in ('', '.', '..') and not set(name) & set('/\\\0')


def check_label_map(path: PathLike, label_space: LabelSpace) -> None:
    """Raise unless a published label map says the same as a label space.

    Such a file is a list of ``{"name", "color", "isthing", "id", "trainId"}``.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If an entry is incomplete, has an unknown id, or disagrees.
    """
    entries = read_json(path)
    if not isinstance(entries, list):
        raise CorruptFileError(path, 'expected a JSON list of classes')
    for entry in entries:
        if not isinstance(entry, dict) or not {'name', 'trainId'} <= entry.keys():
            raise CorruptFileError(
                path, f'expected objects with name and trainId, got {entry!r}'
            )
        label = entry['trainId']
        if type(label) is not int or not 0 <= label < label_space.num_classes:
            raise CorruptFileError(
                path,
                f'unknown class id {label!r}; label space {label_space.name!r} has '
                f'0..{label_space.num_classes - 1}',
                'Correct the file or choose another label space.',
            )
        ours = (label_space.classes[label], label_space.is_thing(label))
        theirs = (entry['name'], bool(entry.get('isthing', ours[1])))
        if ours != theirs:
            raise CorruptFileError(
                path,
                f'class {label} is (name, is_thing) = {theirs}, label space '
                f'{label_space.name!r} says {ours}',
                'Correct the file or choose another label space.',
            )


def write_label_map(path: PathLike, label_space: LabelSpace) -> None:
    """Write a label space in the published form, void left out."""
    write_json(
        path,
        [
            {
                'name': label_space.classes[label],
                'color': list(label_space.palette[label]),
                'isthing': int(label_space.is_thing(label)),
                'id': label,
                'trainId': label,
            }
            for label in range(1, label_space.num_classes)
        ],
    )
