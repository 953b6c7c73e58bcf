"""A disk without room for some files."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


class _File:
    """An open file into which only so many bytes fit."""

    def __init__(self, file: Any, room: int) -> None:
        self._file, self._room = file, room

    def write(self, data: Any) -> int:
        self._room -= memoryview(data).nbytes
        if self._room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return int(self._file.write(data))

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def full_disk(names: Mapping[str, str], room: int = 0) -> Callable[..., Any]:
    """What takes the place of ``Path.open``.

    Args:
        names: Names of files that find no room, and in which mode they are opened.
        room: Bytes that fit into each.
    """
    opened = Path.open

    def full(path: Path, mode: str = "r", *more: Any, **named: Any) -> Any:
        file = opened(path, mode, *more, **named)
        return _File(file, room) if names.get(path.name) == mode else file

    return full
