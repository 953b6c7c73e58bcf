"""The form of delimited text: its separator, its columns, where its rows begin."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from fedrec.data.reading.layout import SEPARATORS, Layout
from fedrec.errors import InputError

LONGEST_LINE = 2**20
BLOCK_BYTES = 2**22
# What bytes that are no UTF-8 become when they are let through, to be told by line.
_NOT_UTF8 = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True)
class TextForm:
    """What the first lines of a file say about the rest.

    Attributes:
        source: The file, for messages.
        separator: What stands between fields.
        guessed: Whether the separator was guessed.
        columns: Position of the column of each role.
        width: Number of fields in a line.
        skipped: Physical lines before the first row.
        first: The first row.
    """

    source: str
    separator: str
    guessed: bool
    columns: dict[str, int]
    width: int
    skipped: int
    first: str

    @property
    def quoted(self) -> bool:
        """Whether fields can stand in double quotes."""
        return _quotes(self.separator)


def fields_of(line: str, separator: str) -> list[str]:
    """Split one line into its fields.

    Raises:
        ValueError: A quote is opened and not closed, or ``::`` separates and there is a single colon.
    """
    if separator == "::" and ":" in line.replace("::", ""):
        raise ValueError("a single ':' where '::' separates")
    if not _quotes(separator) or '"' not in line:
        return line.split(separator)
    try:
        return next(csv.reader([line], delimiter=separator, strict=True))
    except csv.Error as error:
        raise ValueError(f"a quote that does not end with the field ({error})") from None


def has_stray_quote(content: IO[bytes], separator: str) -> bool:
    """Whether in some line a quote opens a field and does not end it; Arrow's parser lets much of that through.

    A field in quotes must end on its line: one row is one line.
    """
    if not _quotes(separator):
        return False
    mark = re.escape(separator).encode()
    field = rb'(?:"[^"\r\n]*+(?:""[^"\r\n]*+)*+"|[^"' + mark + rb"\r\n][^" + mark + rb"\r\n]*+|)"
    lines = re.compile(rb"(?:" + field + rb"(?:" + mark + field + rb")*+(?:\r?\n|\r|\Z))*+")
    while block := content.read(BLOCK_BYTES) + content.readline():
        if b'"' in block and not lines.fullmatch(block):
            return True
    return False


def numbered_lines(content: IO[bytes], source: str) -> Iterator[tuple[int, str]]:
    """Physical lines with their numbers from 1, without line ends and without those that are blank.

    Raises:
        InputError: A line is not UTF-8, or too long to be one of a table.
    """
    lines = io.TextIOWrapper(content, encoding="utf-8-sig", errors="surrogateescape", newline=None)
    number = 0
    while line := lines.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise InputError(f"{source}, line {number}: is longer than {LONGEST_LINE:,} characters; expected a table.")
        if not line.isascii() and _NOT_UTF8.search(line):
            raise InputError(f"{source}, line {number}: is not UTF-8 text.")
        if line := line.rstrip("\n"):
            yield number, line


def recognise(content: IO[bytes], layout: Layout, source: str) -> TextForm:
    """Find separator and columns from a file's first lines.

    Raises:
        InputError: The file has no rows, or a column cannot be found.
    """
    lines = ((number, line) for number, line in numbered_lines(content, source) if number > layout.skip_lines)
    header_number, header = next(lines, (0, None)) if layout.header else (layout.skip_lines, "")
    first_number, first = next(lines, (0, None))
    if header is None or first is None:
        raise InputError(f"{source}: holds no rows{' below its line of names' if header else ''}.")
    names_line = header if layout.header else first
    candidates = (layout.separator,) if layout.separator else SEPARATORS
    for separator in candidates:
        try:
            names = fields_of(names_line, separator)
            columns = _columns(names, layout)
        except (ValueError, LookupError):
            continue
        skipped = header_number if layout.header else layout.skip_lines
        return TextForm(source, separator, layout.separator is None, columns, len(names), skipped, first)
    raise InputError(_missing_column(names_line, layout, candidates, source, header_number or first_number))


def _quotes(separator: str) -> bool:
    return separator in (",", ";", "|")


def _columns(fields: list[str], layout: Layout) -> dict[str, int]:
    """Position of each role's column; LookupError if it is not there, or there twice."""
    found = {}
    for role, column in layout.columns.items():
        if isinstance(column, str):
            if fields.count(column) != 1:
                raise LookupError(role)
            column = fields.index(column)
        if column >= len(fields):
            raise LookupError(role)
        found[role] = column
    return found


def _missing_column(line: str, layout: Layout, candidates: tuple[str, ...], source: str, number: int) -> str:
    """What to say when no separator gives all columns: the view under the separator that gives most fields."""
    splits = []
    for separator in candidates:
        try:
            splits.append((fields_of(line, separator), separator))
        except ValueError as error:
            if len(candidates) == 1:
                return f"{source}, line {number}: has {error}."
    fields, separator = max(splits, key=lambda split: len(split[0]))
    for role, column in layout.columns.items():
        if isinstance(column, int) and column >= len(fields):
            return (
                f"{source}, line {number}: there is no column {column} for layout.{role}; with the separator "
                f"{separator!r} the line has {len(fields)} fields, counted from 0."
            )
        if isinstance(column, str) and fields.count(column) != 1:
            there = "are several columns" if column in fields else "is no column"
            shown = ", ".join(map(repr, fields[:20]))
            return (
                f"{source}, line {number}: there {there} {column!r} for layout.{role}; with the separator "
                f"{separator!r} the line names {shown[:300]}."
            )
    return f"{source}, line {number}: the columns cannot be told apart."
