"""Paths below a root, and writes that are either complete or absent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from mmp3d.fileio.errors import PathLike


def safe_join(root: PathLike, relative: str) -> Path:
    """Join a path that came out of a file to its root, and refuse to leave the root.

    Links inside the root are followed later as usual: a data folder that is a link to
    another disk works.

    Raises:
        ValueError: If ``relative`` is empty, absolute or climbs out of ``root``.
    """
    normal = os.path.normpath(relative) if relative else ''
    absolute = (
        PurePosixPath(relative).is_absolute() or PureWindowsPath(relative).anchor != ''
    )
    climbs = normal == '..' or normal.startswith('..' + os.sep)
    if not relative or absolute or climbs or '\0' in relative:
        raise ValueError(
            f'path {relative!r} must be relative and stay inside {os.fspath(root)}; '
            'correct the file that names it.'
        )
    return Path(root) / normal


@contextmanager
def atomic_write(path: PathLike) -> Iterator[Path]:
    """Give a temporary path to write to; it becomes ``path`` if the block succeeds.

    Folders above ``path`` are made. A crash leaves no half-written file under the final
    name.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: image libraries read the format from it.
    temporary = path.with_name(f'.{path.stem}.{os.getpid()}.tmp{path.suffix}')
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
