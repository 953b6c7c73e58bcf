"""What a file is, by its first bytes and never by its name."""

from __future__ import annotations

# First bytes of what can be read. A packing has something else inside, which has first bytes again.
PACKINGS = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
}
TABLES = {b"PAR1": "parquet", b"ARROW1\x00\x00": "arrow file", b"\xff\xff\xff\xff": "arrow stream"}
# First bytes of what cannot: what it is, and what to do.
_EXPORT = "export the table as CSV or Parquet"
_UNPACK = "unpack it first"
_FOREIGN = {
    b"FEA1": ("a Feather file of the first version", "write it anew with a newer pandas or Arrow"),
    b"ORC": ("an ORC file", _EXPORT),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook (.xls)", "save its sheet as CSV"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", _UNPACK),
    b"Rar!": ("a RAR archive", _UNPACK),
    b"\x1f\x9d": ("a file packed by compress (.Z)", _UNPACK),
    b"SQLite format 3\x00": ("an SQLite database", _EXPORT),
    b"\x89HDF": ("an HDF5 file", _EXPORT),
    b"\x93NUMPY": ("a numpy array", _EXPORT),
    b"%PDF": ("a PDF", _EXPORT),
    b"PGDMP": ("a PostgreSQL dump", _EXPORT),
    b"\x80\x02": ("a Python pickle", _EXPORT),
    b"\x80\x03": ("a Python pickle", _EXPORT),
    b"\x80\x04": ("a Python pickle", _EXPORT),
    b"\x80\x05": ("a Python pickle", _EXPORT),
    b"version https://git-lfs": ("a pointer to a file in Git LFS, not the file", "fetch it: git lfs pull"),
}
# First letters of text that is no table, in lower case.
_TEXTS = {
    b"<!doctype html": ("a web page", "was the download refused?"),
    b"<html": ("a web page", "was the download refused?"),
    b"<?xml": ("XML", _EXPORT),
    b'{"': ("JSON, not a table of lines", _EXPORT),
    b"[{": ("JSON, not a table of lines", _EXPORT),
}
# How much of a file tells what it is.
HEAD_BYTES = 512


def kind_of(head: bytes) -> str:
    """The kind of a file: a packing, a table, or ``text`` for everything that is neither.

    >>> kind_of(b"PAR1...")
    'parquet'
    """
    known = PACKINGS | TABLES
    return next((kind for magic, kind in known.items() if head.startswith(magic)), "text")


def foreign(head: bytes) -> str | None:
    """What a file is that cannot be read, with what to do about it; none where it may be delimited text.

    >>> foreign(b"%PDF-1.7")
    'is a PDF: export the table as CSV or Parquet'
    """
    letters = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    told = next((said for magic, said in _FOREIGN.items() if head.startswith(magic)), None)
    told = told or next((said for start, said in _TEXTS.items() if letters.startswith(start)), None)
    if told is None and head[257:262] == b"ustar":
        told = ("a TAR archive", _UNPACK)
    return f"is {told[0]}: {told[1]}" if told else None
