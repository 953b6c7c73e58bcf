"""Every moment at which the files below a folder are about to change: what a kill can fall on."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.link", "os.truncate", "os.rmdir", "shutil.copyfile"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_watch: Callable[[str, tuple[Any, ...]], None] | None = None
_installed = False


@contextmanager
def before_each_change(root: Path, call: Callable[[int], None]) -> Iterator[None]:
    """Call ``call`` with 1, 2, 3, … before each operation that changes a file or folder below ``root``.

    It hears of all of them from Python's own audit events; what ``call`` does itself is not counted.
    """
    global _watch, _installed
    count, busy, place = 0, False, str(root)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count, busy
        changes = event in CHANGES or (event == "open" and arguments[2] & WRITING)
        if busy or not changes or not any(str(path).startswith(place) for path in arguments[:2]):
            return
        count, busy = count + 1, True
        try:
            call(count)
        finally:
            busy = False

    if not _installed:  # an audit hook stays for the life of a process
        sys.addaudithook(lambda event, arguments: _watch(event, arguments) if _watch else None)
        _installed = True
    _watch = watch
    try:
        yield
    finally:
        _watch = None


class States:
    """What a folder held before each change: what a process killed there leaves, each state once.

    A file that was being written is kept in a second state, too, cut in half.

    Args:
        folder: The folder to watch.
        store: Where copies go.

    Attributes:
        found: The copies, in order.
        changes: How many changes there were.
    """

    def __init__(self, folder: Path, store: Path) -> None:
        self._folder, self._store = folder, store
        self._seen: set[str] = set()
        self.found: list[Path] = []
        self.changes = 0

    def keep(self, number: int) -> None:
        """Keep the state of now."""
        self.changes = number
        state = self._copy(f"{number:03d}")
        for path in state.rglob("*.tmp") if state else ():
            if path.stat().st_nlink > 1:  # a second name of a whole file
                continue
            half = self._copy(f"{number:03d}-half-{path.name}")
            if half:
                os.truncate(half / path.relative_to(state), path.stat().st_size // 2)

    def _copy(self, name: str) -> Path | None:
        told = sha256(name.partition("-")[2].encode())
        for path in sorted(self._folder.rglob("*")):
            told.update(f"{path.relative_to(self._folder)}".encode())
            told.update(path.read_bytes() if path.is_file() else b"")
        if told.hexdigest() in self._seen:
            return None
        self._seen.add(told.hexdigest())
        copy_tree(self._folder, self._store / name)
        self.found.append(self._store / name)
        return self._store / name


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder; two names of one file stay two names of one file."""
    copies: dict[int, str] = {}

    def copy(path: str, copied: str) -> None:
        first = copies.setdefault(Path(path).stat().st_ino, copied)
        shutil.copyfile(path, copied) if first == copied else os.link(first, copied)

    shutil.copytree(source, target, copy_function=copy)
