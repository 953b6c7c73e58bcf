"""One file over HTTPS, into a file that may hold its beginning already; an end is in sight whatever the server does."""

from __future__ import annotations

import os
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from fedrec.errors import InputError

TIMEOUT_SECONDS = 30
CHUNK_BYTES = 2**16
# Slower than this over a whole window nobody waits for: the largest archive would take hours.
LEAST_BYTES_PER_SECOND = 1024
WINDOW_SECONDS = 30


def download(url: str, partial: Path, largest: int) -> None:
    """Download to a file that may hold the beginning already; complete when this returns.

    It goes on by itself after a connection that broke off, as long as every attempt brings something.

    Args:
        url: What to download.
        partial: Where to; kept when the download breaks off.
        largest: Bytes that it can have at most. A server that sends more is cut off, and nothing is kept.

    Raises:
        InputError: The server cannot be reached, refuses, sends too much or too slowly, or breaks off again without
            having sent anything.
    """
    before, reason = -1, ""
    while before < (size := partial.stat().st_size if partial.exists() else 0):
        before = size
        try:
            if _append(url, partial, size, largest):
                return
            reason = "the connection ended early"
        except urllib.error.HTTPError as error:
            if error.code == 416 and size:
                return  # nothing is left to send; whether it is the right content, the checksum says
            raise InputError(f"{url}: the server answers {error.code} {error.reason}.") from error
        except (OSError, HTTPException, ValueError) as error:
            if isinstance(error, InputError):
                raise
            reason = str(getattr(error, "reason", None) or error) or type(error).__name__
    raise InputError(f"{url}: cannot be downloaded ({reason}){_kept(partial)}. Is there a network?")


@dataclass
class _Pace:
    """How fast bytes come: at least so many in every window, or the download is given up."""

    url: str
    partial: Path
    start: float = field(default_factory=time.monotonic)
    received: int = 0

    def add(self, count: int) -> None:
        """Count bytes that have come.

        Raises:
            InputError: Fewer came in the last window than the least rate.
        """
        self.received += count
        now = time.monotonic()
        if now - self.start < WINDOW_SECONDS:
            return
        if self.received < LEAST_BYTES_PER_SECOND * (now - self.start):
            raise InputError(
                f"{self.url}: sends less than {LEAST_BYTES_PER_SECOND:,} bytes a second{_kept(self.partial)}."
            )
        self.start, self.received = now, 0


def _append(url: str, partial: Path, size: int, largest: int) -> bool:
    """Ask for what is missing and append it; whether that was all of it."""
    with _answer(urllib.request.Request(url, headers={"Range": f"bytes={size}-"} if size else {})) as response:
        # 200 instead of 206: the server sends everything, from the beginning.
        before = size if response.status == 206 else 0
        expected, received, pace = _length(response), 0, _Pace(url, partial)
        _require_room(url, partial, before + (expected or 0), largest)
        with _writing(partial), partial.open("ab" if before else "wb") as file:
            while chunk := _read(response):
                received += len(chunk)
                _require_room(url, partial, before + received, largest)
                file.write(chunk)
                file.flush()
                pace.add(len(chunk))
            os.fsync(file.fileno())
    return expected is None or received == expected


def _answer(request: urllib.request.Request) -> HTTPResponse:
    """Open a request within a time limit: that of the library is for one packet, and headers may come byte by byte."""
    answers: queue.SimpleQueue[HTTPResponse | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=2 * TIMEOUT_SECONDS)
    except queue.Empty:
        raise TimeoutError(f"no answer within {2 * TIMEOUT_SECONDS} seconds") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _read(response: HTTPResponse) -> bytes:
    """What is there, at most a chunk; a broken connection is not an error of the file that is written."""
    try:
        return response.read1(CHUNK_BYTES)
    except OSError as error:
        raise HTTPException(str(error) or type(error).__name__) from error


@contextmanager
def _writing(partial: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{partial}: cannot be written ({error.strerror or error}).") from error


def _require_room(url: str, partial: Path, size: int, largest: int) -> None:
    if size > largest:
        partial.unlink(missing_ok=True)
        raise InputError(f"{url}: sends more than the {largest:,} bytes that it can have; nothing of it is kept.")


def _length(response: HTTPResponse) -> int | None:
    length = response.headers.get("Content-Length") or ""
    return int(length) if length.isascii() and length.isdigit() else None


def _kept(partial: Path) -> str:
    size = partial.stat().st_size if partial.exists() else 0
    return f"; {size:,} bytes came and are kept, the next try goes on from there" if size else ""
