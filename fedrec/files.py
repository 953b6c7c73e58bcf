"""Files that are either there, whole, or not there at all; places for one process at a time; the user's cache."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path


def written_on(path: Path) -> str:
    """The day on which a file was last written, ``YYYY-MM-DD`` in UTC."""
    return f"{datetime.fromtimestamp(path.stat().st_mtime, tz=UTC):%Y-%m-%d}"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; when the block ends, what was written there takes the place of ``path``.

    The new content is on the disk before it gets its name, and the name is on the disk before this returns, so a
    process killed at any moment, or a machine that loses power, leaves the old file or the new one. If the block
    raises, the old file stays and the temporary one is removed.

    Args:
        path: The file to make or replace; its folder is made if need be.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)  # a killed process may have left one that is also another file's name
    try:
        with writing(path):
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Let an error of the system name the file: a write to a full disk does not say to which one."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def alone(place: Path, wait: bool = True) -> Iterator[int]:
    """Keep other processes that ask for the same out of a place; the end of the process, however it ends, opens it.

    Args:
        place: A folder or a file.
        wait: Whether to wait until no other process is in it.

    Yields:
        The descriptor that holds the lock. A process that inherits it holds the lock too, after this one has ended.

    Raises:
        BlockingIOError: If there is another process and ``wait`` is false.
    """
    descriptor = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cache_folder() -> Path:
    """The user's own folder for what can be had again: ``fedrec`` below ``XDG_CACHE_HOME``, else below ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "fedrec"
