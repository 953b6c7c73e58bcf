"""Reading a file of interactions: delimited text, Parquet or Arrow, plain or packed.

Only the columns that are asked for are parsed, and text ids are held as 4-byte codes into a dictionary. The peak of
memory is about 45 bytes a row, of which 24 are the result: reading 100 million rows of text with times (2.2 GB, 200,000
users, 50,000 items) was measured at 4.2 GiB. Times with fractions take some 15 bytes a row more.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fedrec.data.interactions import Interactions, RatingFilter
from fedrec.data.reading.columnar import ColumnarFile
from fedrec.data.reading.delimited import DelimitedText
from fedrec.data.reading.ids import Encoded, UnusableIdError, encode, restrict
from fedrec.data.reading.layout import Layout
from fedrec.data.reading.opening import unpacked
from fedrec.data.reading.time_column import TimeError, Times, times_of
from fedrec.errors import InputError

Table = DelimitedText | ColumnarFile


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
    with unpacked(path, layout.member) as content:
        table: Table = (DelimitedText if content.kind == "text" else ColumnarFile)(content, layout)
        columns, notes = table.columns(), list(table.notes)
        low = _low_ratings(columns.pop("rating"), layout, table) if "rating" in columns else None
        # Popped, so that a column's memory is free before the next one is encoded.
        user, item = (_encoded(columns.pop(role), role, layout, table, notes) for role in ("user", "item"))
        _check_header(user, item, table, notes)
        times = _times(columns.pop("time"), layout, table, notes) if "time" in columns else None
        complete = _with_ids(user, item, layout, table, notes)
    (users, user_ids), (items, item_ids) = (
        (ids.index, ids.values) if complete is None else restrict(ids.index, ids.values, complete)
        for ids in (user, item)
    )
    ticks = times.ticks if times else None
    if complete is not None:
        ticks, low = None if ticks is None else ticks[complete], None if low is None else low[complete]
    ratings = None if low is None else _filter(low, layout, str(path), notes)
    unit = times.unit if times else None
    return Interactions(
        name, users, items, ticks, user_ids, item_ids, str(path), unit, tuple(notes), ratings, table.unread_time
    )


def file_title(path: Path) -> str:
    """The name of the data set in a file of the user's own: the file's, without its endings."""
    return path.name.split(".")[0] or path.name


def _low_ratings(rating: pa.ChunkedArray, layout: Layout, table: Table) -> NDArray[np.bool_]:
    """Which rows have less than the minimum rating, ``bool [N]``, as the column's own type compares them."""
    if not pa.types.is_floating(rating.type):
        rating = rating.cast(pa.float64())
    if not pc.all(pc.is_finite(rating)).as_py():
        raise table.refused("rating is not a finite number somewhere")
    assert layout.minimum_rating is not None  # a layout has both or neither
    values = rating.to_numpy()
    low: NDArray[np.bool_] = values < values.dtype.type(layout.minimum_rating)
    return low


def _filter(low: NDArray[np.bool_], layout: Layout, source: str, notes: list[str]) -> RatingFilter:
    """The filter by rating; a note says what becomes of the low rows."""
    minimum = layout.minimum_rating
    assert minimum is not None
    if low.all():
        raise InputError(f"{source}: none of the {len(low)} rows has a rating of at least {minimum:g}.")
    fate = "counts as never touched"
    if layout.low_ratings == "touched":
        fate = "counts as touched, and is neither a candidate nor recommended"
    count = f"{np.count_nonzero(low)} of {len(low)}"
    notes.append(f"{count} rows have a rating below {minimum:g}; an item that was last rated so {fate}")
    return RatingFilter(minimum, low, layout.low_ratings == "touched")


def _encoded(column: pa.ChunkedArray, role: str, layout: Layout, table: Table, notes: list[str]) -> Encoded:
    """A column of ids by index; notes say what was done to their spelling."""
    try:
        ids = encode(column, layout.ids, layout.missing_ids)
    except UnusableIdError as error:
        again = table.names and error.value == table.names[role]
        said = f"{'is the line of names again, it seems: ' if again else ''}{role} {error.value!r} {error.reason}"
        raise InputError(f"{table.place_of(error.row)}: {said}.") from error
    if ids.trimmed:
        notes.append(f"blanks or invisible characters around {ids.trimmed:,} distinct {role} ids were taken off")
    if ids.odd:
        shown = ", ".join(map(repr, ids.odd))
        notes.append(f"nearly all {role} ids are numbers, but not {shown}: they are taken as text and sorted as text")
    if ids.twins:
        others = f" ({ids.twins.count:,} ids have a second spelling)" if ids.twins.count > 1 else ""
        said = f"{role} ids {ids.twins.one!a} and {ids.twins.other!a} are one id in two spellings{others}"
        if layout.ids != "text":
            raise InputError(
                f"{table.source}: {said}; write them alike, or take each as an id of its own: layout.ids 'text'."
            )
        notes.append(f"{said}, and taken for two")
    return ids


def _check_header(user: Encoded, item: Encoded, table: Table, notes: list[str]) -> None:
    """Refuse a line of names that stands among the rows again; note one that may itself be a row."""
    if table.names is None:
        return
    named = {}
    for role, ids in (("user", user), ("item", item)):
        if ids.values.dtype == np.object_ and (place := np.flatnonzero(ids.values == table.names[role])).size:
            named[role] = ids.index == place[0]
            notes.append(
                f"the name of the column of {role} ids, {table.names[role]!r}, is also a {role} id: if the first line "
                "is a row, say so (layout.header)"
            )
    if len(named) == 2 and (again := named["user"] & named["item"]).any():
        raise InputError(f"{table.place_of(int(np.argmax(again)))}: is the line of names again; expected a row.")


def _with_ids(user: Encoded, item: Encoded, layout: Layout, table: Table, notes: list[str]) -> NDArray[np.bool_] | None:
    """The rows that have a user and an item, ``bool [N]``; none where all have."""
    if min(user.index.min(initial=0), item.index.min(initial=0)) >= 0:
        return None
    missing = (user.index < 0) | (item.index < 0)
    count = np.count_nonzero(missing)
    if layout.missing_ids != "ignored":
        row = int(np.argmax(missing))
        role = "user" if user.index[row] < 0 else "item"
        raise InputError(
            f"{table.place_of(row)}: {role} is missing (empty, or a word such as NULL or nan), as in {count:,} of "
            f"{len(missing):,} rows; layout.missing_ids 'ignored' leaves them out, 'ids' takes such words as ids."
        )
    notes.append(f"{count:,} of {len(missing):,} rows have no user or no item and are left out")
    return ~missing


def _times(column: pa.ChunkedArray, layout: Layout, table: Table, notes: list[str]) -> Times:
    try:
        times = times_of(column, layout.time_format)
    except TimeError as error:
        raise table.refused(f"{table.label('time')} {error}") from error
    notes += [times.note] if times.note else []
    return times
