"""Physical lines of a text, with their numbers and places."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from fedrec.errors import InputError

LONGEST_LINE = 2**20
BLOCK_BYTES = 2**22
_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Line:
    """One line that is not empty.

    Attributes:
        number: From 1.
        start: Bytes of the text before it, a byte order mark included.
        text: Without its end. Bytes that are no UTF-8 stand in it as lone surrogates.
    """

    number: int
    start: int
    text: str


def numbered_lines(content: IO[bytes], source: str) -> Iterator[Line]:
    r"""The lines of a text that are not empty; they end with ``\n``, ``\r\n`` or ``\r``.

    Raises:
        InputError: A line is too long to be one of a table.
    """
    # Latin-1 gives one character a byte, so that lengths are numbers of bytes.
    lines = io.TextIOWrapper(content, encoding="latin-1", newline="")
    number, start = 0, 0
    while line := lines.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise InputError(f"{source}, line {number}: is longer than {LONGEST_LINE:,} characters; expected a table.")
        raw, length = line.rstrip("\r\n").encode("latin-1"), len(line)
        if number == 1 and raw.startswith(_MARK):
            raw, start, length = raw.removeprefix(_MARK), len(_MARK), length - len(_MARK)
        if raw:
            yield Line(number, start, raw.decode("utf-8", "surrogateescape"))
        start += length


def quotes(separator: str) -> bool:
    """Whether fields can stand in double quotes where this separates them."""
    return separator in (",", ";", "|")


def fields_of(line: str, separator: str) -> list[str]:
    """Split one line into its fields.

    Raises:
        ValueError: A quote is opened and not closed.
    """
    if not quotes(separator) or '"' not in line:
        return line.split(separator)
    try:
        return next(csv.reader([line], delimiter=separator, strict=True))
    except csv.Error as error:
        reason = "line breaks within quotes are not read" if "end of data" in str(error) else error
        raise ValueError(f"a quote that does not end with the field ({reason})") from None


class OneCharacter(io.RawIOBase):
    """A text with ``::`` replaced by one character that no table has, for a parser that knows no longer separators."""

    SEPARATOR = "\x1f"

    def __init__(self, content: IO[bytes], source: str) -> None:
        self._content, self._source, self._ready, self._held = content, source, b"", b""

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, or part of it."""
        if not self._ready:
            block = self._content.read(BLOCK_BYTES)
            if self.SEPARATOR.encode() in block:
                raise InputError(f"{self._source}: has the control character {self.SEPARATOR!r} in it; expected text.")
            whole = self._held + block
            # A colon at the end may be half a separator.
            end = len(whole) - (bool(block) and (len(whole) - len(whole.rstrip(b":"))) % 2)
            self._ready, self._held = whole[:end].replace(b"::", self.SEPARATOR.encode()), whole[end:]
        given = self._ready[: len(buffer)]
        buffer[: len(given)] = given
        self._ready = self._ready[len(given) :]
        return len(given)


def has_stray_quote(content: IO[bytes], separator: str) -> bool:
    """Whether in some line a quote opens a field and does not end it; Arrow's parser lets much of that through.

    A field in quotes must end on its line: one row is one line. A line too long for a table counts as one.
    """
    if not quotes(separator):
        return False
    mark = re.escape(separator).encode()
    field = rb'(?:"[^"\r\n]*+(?:""[^"\r\n]*+)*+"|[^"' + mark + rb"\r\n][^" + mark + rb"\r\n]*+|)"
    lines = re.compile(rb"(?:" + field + rb"(?:" + mark + field + rb")*+(?:\r?\n|\r|\Z))*+")
    rest = b""
    while block := content.read(BLOCK_BYTES):
        block = rest + block
        end = max(block.rfind(b"\n"), block.rfind(b"\r")) + 1
        whole, rest = block[:end], block[end:]
        if len(rest) > LONGEST_LINE or (b'"' in whole and not lines.fullmatch(whole)):
            return True
    return b'"' in rest and not lines.fullmatch(rest)
