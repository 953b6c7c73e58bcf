"""Opening a file of interactions, whatever it is packed in."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from fedrec.errors import InputError

_KINDS = {b"PAR1": "parquet", b"PK\x03\x04": "zip", b"PK\x05\x06": "zip", b"\x1f\x8b": "gzip"}


def kind_of(path: Path) -> str:
    """What a file is by its first bytes: ``parquet``, ``zip``, ``gzip`` or ``text``, whatever its name.

    Raises:
        InputError: There is no such file, it cannot be read, or it is empty.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; expected a file.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
    if not start:
        raise InputError(f"{path}: is empty; expected rows.")
    return next((kind for magic, kind in _KINDS.items() if start.startswith(magic)), "text")


@contextmanager
def opened(path: Path, member: str | None = None) -> Iterator[IO[bytes]]:
    """Yield the bytes of a plain or gzip file, or of a member of a ZIP archive.

    Args:
        path: The file.
        member: Which file of a ZIP archive; none where it has one.

    Raises:
        InputError: The file cannot be opened, or turns out to be damaged while it is read.
    """
    kind = kind_of(path)
    try:
        if kind == "zip":
            with zipfile.ZipFile(path) as archive, archive.open(_member(path, archive, member)) as content:
                yield content
        else:
            with gzip.open(path) if kind == "gzip" else path.open("rb") as content:
                yield cast(IO[bytes], content)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        what = {"zip": "ZIP archive", "gzip": "gzip file"}.get(kind, "file")
        raise InputError(f"{path}: is a damaged or unfinished {what} ({error}).") from error


def _member(path: Path, archive: zipfile.ZipFile, member: str | None) -> str:
    names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    if member is None and len(names) == 1:
        return names[0]
    if member is not None and member in names:
        return member
    shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    asked = f"there is no {member!r} in the archive" if member else "layout.member must say which file of the archive"
    raise InputError(f"{path}: {asked}; it has {shown or 'no files'}.")
