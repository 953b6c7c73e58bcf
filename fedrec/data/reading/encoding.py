"""Text in any encoding, as the UTF-8 that everything else reads."""

from __future__ import annotations

import codecs
import io
import re
from typing import IO, Any, cast

from fedrec.errors import InputError

CHUNK_BYTES = 2**18
_LINE_END = re.compile("\r\n|\r|\n")
# The longer mark first: UTF-32's begins with UTF-16's.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def encoding_of(head: bytes, stated: str) -> str:
    """The encoding of a text: as stated, unless its first bytes are the mark of UTF-16 or UTF-32."""
    return next((name for mark, name in _MARKS.items() if head.startswith(mark)), stated)


def as_utf8(content: IO[bytes], encoding: str, source: str) -> IO[bytes]:
    """The same text as UTF-8.

    Args:
        content: The text from its beginning.
        encoding: Its encoding. UTF-8 is passed on as it is: whether all of it is valid is asked where it is used.
        source: The file, for messages.
    """
    if codecs.lookup(encoding).name in ("utf-8", "ascii"):
        return content
    return cast(IO[bytes], io.BufferedReader(_Transcoded(content, encoding, source), CHUNK_BYTES))


class _Transcoded(io.RawIOBase):
    def __init__(self, content: IO[bytes], encoding: str, source: str) -> None:
        self._content, self._encoding, self._source = content, encoding, source
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._ready, self._lines = b"", 1

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with what has been decoded, as UTF-8; 0 at the end."""
        while not self._ready:
            chunk = self._content.read(CHUNK_BYTES)
            self._ready = self._decoded(chunk)
            if not chunk:
                break
        given = self._ready[: len(buffer)]
        buffer[: len(given)] = given
        self._ready = self._ready[len(given) :]
        return len(given)

    def _decoded(self, chunk: bytes) -> bytes:
        try:
            text = self._decoder.decode(chunk, not chunk)
            self._lines += len(_LINE_END.findall(text))
            return text.encode("utf-8")
        except UnicodeError as error:
            line = self._lines
            if isinstance(error, UnicodeDecodeError):
                good = error.object[: error.start].decode(self._encoding, "replace")
                line += len(_LINE_END.findall(good))
            raise InputError(f"{self._source}, line {line}: is not {self._encoding} text.") from None
