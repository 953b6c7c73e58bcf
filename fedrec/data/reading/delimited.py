"""Reading delimited text: the columns that are asked for, by Arrow's parser."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pyarrow as pa
from pyarrow import csv

from fedrec.data.reading.encoding import as_utf8, encoding_of
from fedrec.data.reading.faults import first_fault, line_of_row, time_kind
from fedrec.data.reading.layout import Layout
from fedrec.data.reading.lines import OneCharacter, has_stray_quote
from fedrec.data.reading.opening import Content
from fedrec.data.reading.text_form import recognise
from fedrec.errors import InputError

# Every block has a dictionary of its own: large enough that the dictionaries stay small beside the codes.
BLOCK_BYTES = 32 * 2**20
_ID_TYPE = pa.dictionary(pa.int32(), pa.string())
# What times are parsed as at once, by what the first one looks like; other forms are read as text first.
_FAST_TIMES = {"whole": pa.int64(), "iso": pa.timestamp("us"), "iso with zone": pa.timestamp("us", "UTC")}


class DelimitedText:
    """A file of delimited text.

    Args:
        content: The file.
        layout: Where its columns are.

    Attributes:
        source: The file, for messages.
        form: What its first lines say about it.
        notes: What was guessed.
        unread_time: Name of a column that looks like times and is not read.
        names: Name of the column of each role; none where the file has no line of names.

    Raises:
        InputError: It has no rows, or a column cannot be found.
    """

    def __init__(self, content: Content, layout: Layout) -> None:
        self._content, self._layout, self.source = content, layout, content.source
        with content.opened() as stream:
            self._encoding = encoding_of(stream.read(4), layout.encoding)
        with self._opened() as text:
            self.form = recognise(text, layout, self.source)
        self.notes = [f"separator {self.form.separator!r} guessed"] if self.form.guessed else []
        if self._encoding != layout.encoding:
            self.notes.append(f"text in {self._encoding}, as its first bytes say")
        self.notes += guessed_columns(self.form.guessed_columns)
        self.unread_time, self.names = self.form.unread_time, self.form.names

    def columns(self) -> dict[str, pa.ChunkedArray]:
        """Read the columns of the layout, by role.

        Users and items come as dictionaries of text, null where a field is empty; times as ``int64``, timestamps in
        microseconds or text; ratings as ``double``.

        Raises:
            InputError: A line is not what it should be; the message names it.
        """
        with self._opened() as text:
            if has_stray_quote(text, self.form.separator):
                raise self.refused("a quote does not end with its field")
        fast = _FAST_TIMES.get(time_kind(self.form, self._layout))
        try:
            table = self._parse(pa.string() if fast is None else fast)
        except pa.ArrowException as error:
            if fast is None or "time" not in self.form.columns:
                raise self.refused(str(error)) from error
            table = self._parse_again()
        columns = {role: table.column(str(place)) for role, place in self.form.columns.items()}
        if any(columns[role].null_count for role in ("time", "rating") if role in columns):
            raise self.refused("a field is empty")
        return columns

    def refused(self, reason: str) -> InputError:
        """The error that names the first bad line, or gives the reason if all look right one by one."""
        with self._opened() as text:
            fault = first_fault(text, self.form, self._layout)
        return fault or InputError(f"{self.source}: cannot be read as delimited text ({reason}).")

    def label(self, role: str) -> str:
        """How messages call the column of a role."""
        return role

    def place_of(self, row: int) -> str:
        """How messages call a row, counted from 0: by file and line."""
        with self._opened() as text:
            line = line_of_row(text, self.form, row)
        return f"{self.source}, line {line.number if line else '?'}"

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        """The text as UTF-8, from its beginning."""
        with self._content.opened() as stream:
            yield as_utf8(stream, self._encoding, self.source)

    def _parse_again(self) -> pa.Table:
        """Times are of several forms, or none of the fast ones: as text they can all be looked at."""
        try:
            return self._parse(pa.string())
        except pa.ArrowException as error:
            raise self.refused(str(error)) from error

    def _parse(self, time: pa.DataType) -> pa.Table:
        places, separator = self.form.columns, self.form.separator
        delimiter = OneCharacter.SEPARATOR if separator == "::" else separator
        quote = '"' if self.form.quoted else False
        types = {"user": _ID_TYPE, "item": _ID_TYPE, "time": time, "rating": pa.float64()}
        with self._opened() as text:
            text.read(self.form.start)  # the parser would take quotes in these lines for quotes
            return csv.read_csv(
                io.BufferedReader(OneCharacter(text, self.source), BLOCK_BYTES) if separator == "::" else text,
                read_options=csv.ReadOptions(
                    column_names=[str(place) for place in range(self.form.width)], block_size=BLOCK_BYTES
                ),
                parse_options=csv.ParseOptions(delimiter=delimiter, quote_char=quote),
                convert_options=csv.ConvertOptions(
                    include_columns=[str(place) for place in places.values()],
                    column_types={str(place): types[role] for role, place in places.items()},
                    null_values=[""],
                    strings_can_be_null=True,
                    timestamp_parsers=[csv.ISO8601],
                ),
            )


def guessed_columns(guessed: dict[str, str]) -> list[str]:
    """A note on columns that were found by their usual names, if there are any."""
    columns = ", ".join(f"{role} {name!r}" for role, name in guessed.items())
    return [f"columns guessed by their names: {columns}"] if guessed else []
