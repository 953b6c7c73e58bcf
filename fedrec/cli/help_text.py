"""What ``--help`` of the commands that train says, kept from one time to the next.

The text is made of the signatures and docstrings of fedrec, Lightning and PyTorch, all of which have to be imported for
it. So it is made once for each state of them and each width of the terminal, and kept in the user's cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import io
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from fedrec.files import cache_folder, write_text

PACKAGE = Path(__file__).parents[1]
# Whose versions decide what the text says, beside fedrec's own source.
DECIDING = ("docstring-parser", "jsonargparse", "lightning", "torch", "typeshed-client")


def help_of(command: str) -> str:
    """The text that ``fedrec COMMAND --help`` prints.

    Args:
        command: ``fit``, ``validate``, ``test`` or ``predict``.

    Returns:
        The kept text if nothing changed that decides it, else a new one, which is kept if there is a place for it.
    """
    place = cache_folder() / "help" / f"{command}-{shutil.get_terminal_size().columns}.txt"
    state = hashlib.sha256("\n".join(_state()).encode("utf-8", "surrogateescape")).hexdigest()
    with contextlib.suppress(OSError, UnicodeDecodeError):
        kept, _, text = place.read_text(encoding="utf-8").partition("\n")
        if kept == state and text:
            return text
    text = _made(command)
    with contextlib.suppress(OSError):  # no place to keep it: it is made anew every time
        write_text(place, f"{state}\n{text}")
    return text


def _state() -> Iterator[str]:
    """What decides the text: the interpreter, the packages, and every file of fedrec by its size and time."""
    yield sys.version
    for name in DECIDING:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            yield f"{name} {importlib.metadata.version(name)}"
    for path in sorted(PACKAGE.rglob("*.py")):
        status = path.stat()
        yield f"{path} {status.st_size} {status.st_mtime_ns}"


def _made(command: str) -> str:
    """Let the argument parser say it."""
    from fedrec.cli.training import main

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        main([command, "--help"])
    return said.getvalue()
