"""What a piece of code does to the world, by the interpreter's own audit events."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

RUNS = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "pty.spawn")
REACHES = ("ctypes.dlopen", "socket.connect", "socket.bind", "urllib.Request", "webbrowser.open", "os.kill")
CHANGES = (
    *("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown"),
    *("shutil.rmtree", "shutil.move", "shutil.copyfile", "sqlite3.connect", "os.utime"),
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass
class Deeds:
    """What happened while it was watched.

    Attributes:
        ran: Programs started, libraries loaded, connections made.
        changed: Paths written to, made, renamed or removed.
        imported: Modules that were not there before.
    """

    ran: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    imported: set[str] = field(default_factory=set)


_watched: Deeds | None = None


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched is None:
        return
    if event in RUNS or (event in REACHES and arguments != (None,)):  # dlopen(None): the interpreter itself
        _watched.ran.append(f"{event} {arguments!r}")
    elif event in CHANGES:
        _watched.changed += [os.fspath(path) for path in arguments[:2] if isinstance(path, str | os.PathLike)]
    elif event == "open" and isinstance(arguments[0], str) and (arguments[2] or 0) & _WRITING:
        _watched.changed.append(arguments[0])


sys.addaudithook(_hook)


@contextmanager
def watched() -> Iterator[Deeds]:
    """Watch what happens inside."""
    global _watched
    before, deeds = set(sys.modules), Deeds()
    _watched = deeds
    try:
        yield deeds
    finally:
        _watched = None
        deeds.imported = set(sys.modules) - before
