"""Opening a file of interactions, whatever it is packed in."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa

from fedrec.data.reading.kinds import HEAD_BYTES, PACKINGS, foreign, kind_of
from fedrec.errors import InputError

# What the readers of packings raise for content that they cannot make sense of.
DAMAGE = (
    OSError,
    EOFError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    NotImplementedError,
    ValueError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    pa.ArrowException,
)
_NAMES = {"zip": "ZIP archive"} | {packing: f"{packing} file" for packing in ("gzip", "bzip2", "xz", "zstd", "lz4")}
_DEEPEST = 3
_SPOOLED = ("parquet", "arrow file", "arrow stream")


@dataclass(frozen=True)
class Content:
    """What is in a file, to be read as often as need be.

    Attributes:
        source: How messages call it: the file that was named.
        kind: ``text``, ``parquet``, ``arrow file`` or ``arrow stream``.
        path: A file on the disk that can be read again.
        packings: What the content is packed in there, from the outside in.
        member: Which file of a ZIP archive.
    """

    source: str
    kind: str
    path: Path
    packings: tuple[str, ...] = ()
    member: str | None = None

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Yield the bytes from the beginning, unpacked.

        Raises:
            InputError: The file turns out to be damaged, now or while it is read.
        """
        with ExitStack() as stack:
            yield _stream(stack, self)


@contextmanager
def unpacked(path: Path, member: str | None = None) -> Iterator[Content]:
    """Find out what is in a file; what it is packed in is opened, also several packings around each other.

    A pipe can be read once: its content is kept in a temporary file for the length of the block. So is Parquet or Arrow
    that is packed, because its reader goes back and forth.

    Args:
        path: The file.
        member: Which file of a ZIP archive; none where it has one.

    Raises:
        InputError: There is no such file, it is empty or damaged, or something that is no table.
    """
    with ExitStack() as stack:
        content = _recognised(Content(str(path), "text", _on_disk(stack, path), (), member))
        if content.packings and content.kind in _SPOOLED:
            with content.opened() as stream:
                content = Content(content.source, content.kind, _spooled(stack, stream, content.source))
        yield content


def archived(path: Path, member: str) -> Content:
    """A member of a ZIP archive, unpacked from the archive and from nothing else."""
    return Content(str(path), "text", path, ("zip",), member)


class _Guarded(io.RawIOBase):
    """A stream for which damage is bad input: what its packings raise becomes one message."""

    def __init__(self, stream: Any, complaint: str) -> None:
        self._stream, self._complaint = stream, complaint

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer from the packed file; damage in it is bad input, whatever the format calls it."""
        try:
            return int(self._stream.readinto(buffer))
        except InputError:
            raise
        except DAMAGE as error:
            raise InputError(f"{self._complaint} ({_first_line(error)}).") from error


def _recognised(content: Content) -> Content:
    """The same content with its kind and what it is packed in."""
    packings: tuple[str, ...] = ()
    while True:
        inner = Content(content.source, "text", content.path, packings, content.member)
        with inner.opened() as stream:
            head = stream.read(HEAD_BYTES)
        if not head:
            raise InputError(f"{content.source}: is empty; expected rows.")
        kind = kind_of(head)
        if kind not in PACKINGS.values():
            break
        packings = (*packings, kind)
        if len(packings) > _DEEPEST or "zip" in packings[1:]:
            raise InputError(f"{content.source}: is packed too often ({' in '.join(reversed(packings))}): unpack it.")
    if said := foreign(head):
        raise InputError(f"{content.source}: {said}.")
    return Content(content.source, kind, content.path, packings, content.member)


def _stream(stack: ExitStack, content: Content) -> IO[bytes]:
    what = " in a ".join(_NAMES[packing] for packing in reversed(content.packings)) or "file"
    complaint = f"{content.source}: is a damaged or unfinished {what}"
    try:
        stream: Any = stack.enter_context(content.path.open("rb"))
        for packing in content.packings:
            stream = stack.enter_context(_opened(packing, stream, content))
    except InputError:
        raise
    except DAMAGE as error:
        raise InputError(f"{complaint} ({_first_line(error)}).") from error
    if not content.packings:
        return cast(IO[bytes], stream)
    return cast(IO[bytes], stack.enter_context(io.BufferedReader(_Guarded(stream, complaint), 2**16)))


def _opened(packing: str, stream: Any, content: Content) -> Any:
    if packing == "zip":
        archive = zipfile.ZipFile(stream)
        return archive.open(_member(content.source, archive, content.member))
    openers: dict[str, Callable[[Any], Any]] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
    return openers[packing](stream) if packing in openers else pa.CompressedInputStream(stream, packing)


def _member(source: str, archive: zipfile.ZipFile, member: str | None) -> str:
    names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    if "[Content_Types].xml" in names and any(name.startswith("xl/") for name in names):
        raise InputError(f"{source}: is an Excel workbook (.xlsx): save its sheet as CSV.")
    if names and all(name.endswith(".npy") for name in names):
        raise InputError(f"{source}: is an archive of numpy arrays: export the table as CSV or Parquet.")
    if member is not None and member in names:
        return member
    # What macOS puts beside every file, and what no system shows.
    shown = [name for name in names if not name.startswith("__MACOSX/") and not Path(name).name.startswith(".")]
    if member is None and len(shown) == 1:
        return shown[0]
    asked = f"there is no {member!r} in the archive" if member else "layout.member must say which file of the archive"
    listed = ", ".join(shown[:8]) + (", …" if len(shown) > 8 else "")
    raise InputError(f"{source}: {asked}; it has {listed or 'no files'}.")


def _on_disk(stack: ExitStack, path: Path) -> Path:
    """The file, or, for a pipe, a temporary one with what came out of it."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError(f"{path}: is a folder; expected a file.")
        if stat.S_ISREG(mode):
            path.open("rb").close()
            return path
        if not stat.S_ISFIFO(mode) and not stat.S_ISSOCK(mode):
            raise InputError(f"{path}: is a device; expected a file.")
        with path.open("rb") as pipe:
            return _spooled(stack, pipe, str(path))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None


def _spooled(stack: ExitStack, stream: IO[bytes], source: str) -> Path:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fedrec-")))
    try:
        with (folder / "content").open("wb") as file:
            shutil.copyfileobj(stream, file, 2**20)
    except OSError as error:
        raise InputError(f"{source}: cannot be kept in {folder.parent} while it is read ({error.strerror}).") from error
    return folder / "content"


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
