"""The one error for a file that is there and cannot be used."""

from __future__ import annotations

import os
from pathlib import Path

PathLike = str | os.PathLike[str]


class CorruptFileError(ValueError):
    """A file exists, but its content is broken or of another kind than expected.

    Tools that go through many files may report it and go on with the next one; a
    dataset may not.

    Args:
        path: The file.
        problem: What was expected and what came, without a full stop.
        advice: What to do.
    """

    def __init__(
        self,
        path: PathLike,
        problem: str,
        advice: str = 'Copy or generate the file again.',
    ) -> None:
        super().__init__(f'{os.fspath(path)}: {problem}. {advice}')
        self.path = Path(path)
        self.problem = problem

    def __reduce__(self) -> tuple:
        # Workers of a data loader send their errors to the main process by pickle.
        return _restore, (str(self), self.path, self.problem)


def _restore(message: str, path: Path, problem: str) -> CorruptFileError:
    error = CorruptFileError.__new__(CorruptFileError)
    ValueError.__init__(error, message)
    error.path, error.problem = path, problem
    return error


def existing_file(path: PathLike) -> Path:
    """Give the path back if it is a file.

    Raises:
        FileNotFoundError: If nothing is there, or a folder.
    """
    path = Path(path)
    if path.is_file():
        return path
    found = 'a folder is there' if path.is_dir() else 'nothing is there'
    parent = path.parent
    hint = '' if parent.is_dir() else f'; its folder {parent} does not exist either'
    raise FileNotFoundError(f'{path}: expected a file, but {found}{hint}.')
