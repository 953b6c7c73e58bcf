"""Reading Parquet: the columns that are asked for, and no other."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fedrec.data.reading.layout import Layout
from fedrec.errors import InputError


class ParquetTable:
    """A Parquet file.

    Args:
        path: The file.
        layout: Where its columns are.

    Attributes:
        notes: What was guessed: nothing, types are part of the file.

    Raises:
        InputError: It is no Parquet file, a column cannot be found, or has a type that its role cannot have.
    """

    def __init__(self, path: Path, layout: Layout) -> None:
        self._path = path
        self.notes: list[str] = []
        try:
            schema = pq.read_schema(path)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error
        self._columns = {role: self._name(schema, role, column) for role, column in layout.columns.items()}
        self._text = [name for name in self._columns.values() if _is_text(schema.field(name).type)]
        for role, name in self._columns.items():
            self._check_type(role, name, schema.field(name).type)

    def columns(self) -> dict[str, pa.ChunkedArray]:
        """Read the columns of the layout, by role, one after the other.

        Users and items come as integers or dictionaries of text, times as integers, ``double`` or timestamps in
        microseconds, ratings as ``double``; none has a null.

        Raises:
            InputError: The file is damaged, or a value is missing or out of range.
        """
        return {role: self._read(role, name) for role, name in self._columns.items()}

    def refused(self, reason: str) -> InputError:
        """The error for a value that cannot be used."""
        return InputError(f"{self._path}: {reason}.")

    def _read(self, role: str, name: str) -> pa.ChunkedArray:
        try:
            table = pq.read_table(
                self._path,
                columns=[name],
                read_dictionary=self._text,
                partitioning=None,
                page_checksum_verification=True,
            )
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error
        column = table.column(0)
        if column.null_count:
            row = pc.index(column.is_null(), True).as_py()
            raise InputError(f"{self._path}, row {row + 1}: {role} (column {name!r}) is missing.")
        try:
            return column.cast(_wanted(role, column.type))
        except pa.ArrowInvalid as error:
            raise InputError(f"{self._path}: {role} (column {name!r}): {error}.") from error

    def _name(self, schema: pa.Schema, role: str, column: str | int) -> str:
        names = schema.names
        if isinstance(column, int) and column < len(names):
            column = names[column]
        if isinstance(column, int) or names.count(column) != 1:
            there = "are several columns" if column in names else "is no column"
            raise InputError(
                f"{self._path}: there {there} {column!r} for layout.{role}; the columns are {', '.join(names[:20])}."
            )
        return column

    def _check_type(self, role: str, name: str, found: pa.DataType) -> None:
        number = pa.types.is_integer(found) or pa.types.is_floating(found)
        right, expected = {
            "time": (number or pa.types.is_timestamp(found) or pa.types.is_date(found), "whole numbers or timestamps"),
            "rating": (number, "numbers"),
        }.get(role, (pa.types.is_integer(found) or _is_text(found), "integers or text"))
        if not right:
            raise InputError(f"{self._path}: {role} (column {name!r}) has type {found}; expected {expected}.")

    def _damaged(self, error: Exception) -> InputError:
        return InputError(f"{self._path}: is a damaged or unfinished Parquet file ({' '.join(str(error).split())}).")


def _is_text(found: pa.DataType) -> bool:
    value = found.value_type if pa.types.is_dictionary(found) else found
    return bool(pa.types.is_string(value) or pa.types.is_large_string(value))


def _wanted(role: str, found: pa.DataType) -> pa.DataType:
    if role == "rating":
        return pa.float64()
    if pa.types.is_timestamp(found) or pa.types.is_date(found):
        return pa.timestamp("us")
    return pa.dictionary(pa.int32(), pa.string()) if _is_text(found) else found
