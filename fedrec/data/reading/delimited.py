"""Reading delimited text: the columns that are asked for, by Arrow's parser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO

import pyarrow as pa
from pyarrow import csv

from fedrec.data.reading.faults import ISO, first_fault
from fedrec.data.reading.layout import Layout
from fedrec.data.reading.opening import opened
from fedrec.data.reading.text_form import fields_of, has_stray_quote, recognise
from fedrec.errors import InputError

# Every block has a dictionary of its own: large enough that the dictionaries stay small beside the codes.
BLOCK_BYTES = 32 * 2**20
_ID_TYPE = pa.dictionary(pa.int32(), pa.string())
_TIME_TYPES = {
    "whole": pa.int64(),
    "decimal": pa.float64(),
    "iso": pa.timestamp("us"),
    "iso with zone": pa.timestamp("us", "UTC"),
}


class DelimitedText:
    """A file of delimited text.

    Args:
        path: Plain or gzip, or a ZIP archive with the file in it.
        layout: Where its columns are.

    Attributes:
        form: What its first lines say about it.
        notes: What was guessed.

    Raises:
        InputError: It has no rows, or a column cannot be found.
    """

    def __init__(self, path: Path, layout: Layout) -> None:
        self._path, self._layout = path, layout
        with opened(path, layout.member) as content:
            self.form = recognise(content, layout, str(path))
        self.notes = [f"separator {self.form.separator!r} guessed"] if self.form.guessed else []
        self._time_kind = self._kind_of_time()

    def columns(self) -> dict[str, pa.ChunkedArray]:
        """Read the columns of the layout, by role.

        Users and items come as dictionaries of text, times as ``int64``, ``double`` or timestamps in microseconds,
        ratings as ``double``; none has a null.

        Raises:
            InputError: A line is not what it should be; the message names it.
        """
        with opened(self._path, self._layout.member) as content:
            if has_stray_quote(content, self.form.separator):
                raise self.refused("a quote does not end with its field")
        try:
            with opened(self._path, self._layout.member) as content:
                table = self._parse(content)
        except pa.ArrowException as error:
            raise self.refused(str(error)) from error
        columns = {role: table.column(str(place)) for role, place in self._places().items()}
        if any(column.null_count for column in columns.values()):
            raise self.refused("a field is empty")
        return columns

    def refused(self, reason: str) -> InputError:
        """The error that names the first bad line, or gives the reason if all look right one by one."""
        with opened(self._path, self._layout.member) as content:
            fault = first_fault(content, self.form, self._layout.ids, self._time_kind)
        return InputError(fault or f"{self._path}: cannot be read as delimited text ({reason}).")

    def _parse(self, content: IO[bytes]) -> pa.Table:
        form, places = self.form, self._places()
        types = {"user": _ID_TYPE, "item": _ID_TYPE, "time": _TIME_TYPES[self._time_kind], "rating": pa.float64()}
        # Between the two colons of "::" stands a column that must be empty; nothing fits the type null but nothing.
        empty = {str(place): pa.null() for place in range(1, self._width, 2)} if form.separator == "::" else {}
        return csv.read_csv(
            content,
            read_options=csv.ReadOptions(
                column_names=[str(place) for place in range(self._width)],
                skip_rows=form.skipped,
                block_size=BLOCK_BYTES,
            ),
            parse_options=csv.ParseOptions(delimiter=form.separator[0], quote_char='"' if form.quoted else False),
            convert_options=csv.ConvertOptions(
                include_columns=[str(place) for place in places.values()] + list(empty),
                column_types=empty | {str(place): types[role] for role, place in places.items()},
                null_values=[""],
                timestamp_parsers=[csv.ISO8601],
            ),
        )

    @property
    def _width(self) -> int:
        """Fields of a line as the parser sees them, which knows separators of one character only."""
        return 2 * self.form.width - 1 if self.form.separator == "::" else self.form.width

    def _places(self) -> dict[str, int]:
        step = 2 if self.form.separator == "::" else 1
        return {role: place * step for role, place in self.form.columns.items()}

    def _kind_of_time(self) -> str:
        """What the first row's time looks like, unless the layout says what times are."""
        if "time" not in self.form.columns:
            return "whole"
        try:
            fields = fields_of(self.form.first, self.form.separator)
        except ValueError:
            return "whole"  # the parser will refuse the line, and the message name it
        text = fields[self.form.columns["time"]].strip() if len(fields) == self.form.width else ""
        date = ISO.fullmatch(text)
        if self._layout.time_format == "iso" or (self._layout.time_format == "auto" and date):
            return "iso with zone" if date and date["zone"] else "iso"
        return "decimal" if re.fullmatch(r"[+-]?\d+\.\d*|.*\de\+?\d+", text) else "whole"
