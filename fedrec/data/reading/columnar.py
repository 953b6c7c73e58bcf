"""Reading Parquet and Arrow (Feather) files: the columns that are asked for, and no other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fedrec.data.reading.delimited import guessed_columns
from fedrec.data.reading.layout import Layout
from fedrec.data.reading.names import ColumnError, find_columns, unread_time
from fedrec.data.reading.opening import Content
from fedrec.data.reading.time_column import TimeError, check_exact
from fedrec.data.sizes import require_memory
from fedrec.errors import InputError

_KINDS = {"parquet": "Parquet", "arrow file": "Arrow (Feather)", "arrow stream": "Arrow (Feather)"}
# What a row takes at the peak.
_ROW_BYTES = 45


class ColumnarFile:
    """A file that holds its columns one by one, with their types.

    Args:
        content: The file.
        layout: Where its columns are.

    Attributes:
        notes: What was guessed.
        unread_time: Name of a column that looks like times and is not read.
        source: The file, for messages.
        names: None: the names of columns are no rows of such a file.

    Raises:
        InputError: It is damaged, a column cannot be found, or has a type that its role cannot have.
    """

    def __init__(self, content: Content, layout: Layout) -> None:
        self._content, self.source = content, content.source
        with self._guarded():
            schema = self._schema()
            names: list[str] = schema.names  # which damage can make unreadable
        try:
            places, guessed = find_columns(names, layout)
        except ColumnError as error:
            raise InputError(f"{self.source}: {error.reason}; the columns are {', '.join(names[:20])}.") from None
        self._columns = {role: names[place] for role, place in places.items()}
        types = {role: schema.field(place).type for role, place in places.items()}
        for role, kind in types.items():
            self._check_type(role, names, kind)
        self._text = [self._columns[role] for role, kind in types.items() if _is_text(kind)]
        self.notes = guessed_columns({role: self._columns[role] for role in guessed})
        self.unread_time = unread_time(names, places, layout)
        self.names: dict[str, str] | None = None

    def columns(self) -> dict[str, pa.ChunkedArray]:
        """Read the columns of the layout, by role, one after the other.

        Users and items come as integers or dictionaries of text, null where one is missing, times and ratings as they
        are, without nulls.

        Raises:
            InputError: The file is damaged, or a value is missing or out of range.
        """
        return {role: self._read(role, name) for role, name in self._columns.items()}

    def refused(self, reason: str) -> InputError:
        """The error for a value that cannot be used."""
        return InputError(f"{self.source}: {reason}.")

    def label(self, role: str) -> str:
        """How messages call the column of a role."""
        return f"{role} (column {self._columns[role]!r})"

    def place_of(self, row: int) -> str:
        """How messages call a row, counted from 0."""
        return f"{self.source}, row {row + 1}"

    def _schema(self) -> pa.Schema:
        if self._content.kind != "parquet":
            with self._arrow() as reader:
                return reader.schema
        with pq.ParquetFile(self._content.path) as file:
            rows = file.metadata.num_rows
            require_memory(rows * _ROW_BYTES, f"{self.source}: reading {rows:,} rows", "their number")
            return file.schema_arrow

    def _read(self, role: str, name: str) -> pa.ChunkedArray:
        with self._guarded():
            column = self._parquet_column(name) if self._content.kind == "parquet" else self._arrow_column(name)
            column.validate(full=True)
            if pa.types.is_dictionary(column.type) and not _is_text(column.type):  # categories of numbers, say
                column = column.cast(column.type.value_type)
        if role in ("user", "item"):
            return self._ids(role, column)
        if column.null_count:
            row = pc.index(column.is_null(), True).as_py()
            raise InputError(f"{self.place_of(row)}: {self.label(role)} is missing.")
        return column

    def _parquet_column(self, name: str) -> pa.ChunkedArray:
        text = self._text
        with pq.ParquetFile(self._content.path, read_dictionary=text, page_checksum_verification=True) as file:
            return file.read(columns=[name]).column(0)

    def _arrow_column(self, name: str) -> pa.ChunkedArray:
        with self._arrow() as reader:
            place = reader.schema.get_field_index(name)
            batches = reader
            if self._content.kind == "arrow file":
                batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
            return pa.chunked_array([batch.column(place) for batch in batches], reader.schema.field(place).type)

    def _ids(self, role: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Ids as integers or dictionaries of text; pandas makes doubles of whole numbers where one is missing."""
        try:
            if pa.types.is_floating(column.type):
                check_exact(column)
                column = column.cast(pa.float64())
                column = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
                if not pc.all(pc.equal(column, pc.floor(column))).as_py():
                    raise TimeError("has values that are no whole numbers; expected integers or text")
                return column.cast(pa.int64())
            return column.cast(pa.dictionary(pa.int32(), pa.string())) if _is_text(column.type) else column
        except (TimeError, pa.ArrowException) as error:
            raise InputError(f"{self.source}: {self.label(role)} {' '.join(str(error).split())}.") from None

    def _check_type(self, role: str, names: list[str], found: pa.DataType) -> None:
        name, told = self._columns[role], found
        found = found.value_type if pa.types.is_dictionary(found) else found
        if names.count(name) > 1:
            raise InputError(f"{self.source}: there are several columns {name!r} for layout.{role}.")
        number = pa.types.is_integer(found) or pa.types.is_floating(found)
        point = number or pa.types.is_decimal(found)
        moment = pa.types.is_timestamp(found) or pa.types.is_date(found)
        right, expected = {
            "time": (point or moment or _is_text(found), "numbers, timestamps or text"),
            "rating": (point, "numbers"),
        }.get(role, (number or _is_text(found), "integers or text"))
        if not right:
            raise InputError(f"{self.source}: {self.label(role)} has type {told}; expected {expected}.")

    @contextmanager
    def _arrow(self) -> Iterator[pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader]:
        with pa.OSFile(str(self._content.path)) as file:
            yield pa.ipc.open_file(file) if self._content.kind == "arrow file" else pa.ipc.open_stream(file)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except (ValueError, pa.ArrowException, OSError, MemoryError) as error:
            said = " ".join(str(error).split())[:200]
            what = f"is a damaged or unfinished {_KINDS[self._content.kind]} file"
            raise InputError(f"{self.source}: {what} ({said}).") from error


def _is_text(found: pa.DataType) -> bool:
    value = found.value_type if pa.types.is_dictionary(found) else found
    return bool(pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_string_view(value))
