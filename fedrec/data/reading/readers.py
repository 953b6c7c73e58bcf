"""Reading a file of interactions: delimited text (plain, gzip or in a ZIP archive) or Parquet.

Only the columns that are asked for are parsed, and text ids are held as 4-byte codes into a dictionary. The peak of
memory is about 45 bytes a row, of which 24 are the result: reading 100 million rows of text with times (2.2 GB, 200,000
users, 50,000 items) was measured at 4.2 GiB. A minimum rating takes some 20 bytes a row more.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fedrec.data.interactions import Int64s, Interactions, RatingFilter, TimeUnit
from fedrec.data.reading.delimited import DelimitedText
from fedrec.data.reading.ids import UnusableIdError, encode
from fedrec.data.reading.layout import Layout
from fedrec.data.reading.opening import kind_of
from fedrec.data.reading.parquet import ParquetTable
from fedrec.data.times import guessed_unit
from fedrec.errors import InputError

Table = DelimitedText | ParquetTable


def read_interactions(path: Path, layout: Layout, name: str) -> Interactions:
    """Read interactions from a file; what it is shows in its content, not in its name.

    Args:
        path: The file.
        layout: Where its columns are and how they are to be understood.
        name: Name of the data set.

    Returns:
        The rows in the order of the file, with notes on what was guessed and left out.

    Raises:
        InputError: The file cannot be understood; the message names the line (Parquet: the row) where there is one.
    """
    table: Table = ParquetTable(path, layout) if kind_of(path) == "parquet" else DelimitedText(path, layout)
    columns = table.columns()
    notes, ratings = list(table.notes), None
    if "rating" in columns:
        ratings = _low_ratings(columns.pop("rating"), layout, table, path, notes)
    user, user_ids = _encoded(columns, "user", layout, table)
    item, item_ids = _encoded(columns, "item", layout, table)
    timestamp, unit = None, None
    if "time" in columns:
        timestamp, unit = _times(columns.pop("time"), layout, table, notes)
    return Interactions(name, user, item, timestamp, user_ids, item_ids, str(path), unit, tuple(notes), ratings)


def file_title(path: Path) -> str:
    """The name of the data set in a file of the user's own: the file's, without its endings."""
    return path.name.split(".")[0] or path.name


def _low_ratings(rating: pa.ChunkedArray, layout: Layout, table: Table, path: Path, notes: list[str]) -> RatingFilter:
    """Which rows have less than the minimum rating; a note says what becomes of them."""
    if not pc.all(pc.is_finite(rating)).as_py():
        raise table.refused("rating is not a finite number somewhere")
    minimum = layout.minimum_rating
    assert minimum is not None  # a layout has both or neither
    low: NDArray[np.bool_] = pc.less(rating, minimum).to_numpy()
    if low.all():
        raise InputError(f"{path}: none of the {len(low)} rows has a rating of at least {minimum:g}.")
    fate = "are left out: their items count as never touched"
    if layout.low_ratings == "touched":
        fate = "are no interactions: their items count as touched, and are neither candidates nor recommended"
    notes.append(f"{np.count_nonzero(low)} of {len(low)} rows have a rating below {minimum:g} and {fate}")
    return RatingFilter(minimum, low, layout.low_ratings == "touched")


def _encoded(
    columns: dict[str, pa.ChunkedArray], role: str, layout: Layout, table: Table
) -> tuple[Int64s, NDArray[np.generic]]:
    # Popped, so that the column's memory is free before the next one is encoded.
    column = columns.pop(role)
    try:
        return encode(column, layout.ids)
    except UnusableIdError as error:
        raise table.refused(f"{role} {error.value!r} in row {error.row + 1} cannot be an id") from error


def _times(column: pa.ChunkedArray, layout: Layout, table: Table, notes: list[str]) -> tuple[Int64s, TimeUnit | None]:
    """Times as ``int64`` since 1970, and their unit."""
    if pa.types.is_timestamp(column.type):
        if layout.time_format not in ("auto", "iso"):
            raise table.refused(f"times are dates, but layout.time_format is {layout.time_format!r}; expected 'iso'")
        return column.cast(pa.int64()).to_numpy(), "us"
    if layout.time_format == "iso":
        raise table.refused("times are numbers, but layout.time_format is 'iso'; expected their unit")
    if pa.types.is_floating(column.type) and pc.any(pc.greater(pc.abs(column), 2.0**53)).as_py():
        raise table.refused("a time is too large to be exact as a decimal number")
    try:
        times = column.cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid as error:
        raise table.refused(f"times are not whole numbers ({error})") from error
    if layout.time_format != "auto":
        return times, layout.time_format
    unit = guessed_unit(times)
    guess = f"whole numbers of {unit} since 1970" if unit else "of no known unit, and used for their order alone"
    notes.append(f"times guessed to be {guess}")
    return times, unit
