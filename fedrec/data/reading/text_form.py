"""How a text file is laid out: which character separates fields, which columns to read, where the rows begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import IO

from fedrec.data.reading.layout import SEPARATORS, Layout
from fedrec.data.reading.lines import Line, fields_of, numbered_lines, quotes
from fedrec.data.reading.names import ColumnError, find_columns, is_value, looks_like_names, looks_like_row, unread_time
from fedrec.errors import InputError

# First rows that a guessed separator is tried on.
SAMPLE_ROWS = 50


@dataclass(frozen=True)
class TextForm:
    """How a text file is laid out, as its first lines tell.

    Attributes:
        source: The file, for messages.
        separator: The character or text between fields.
        guessed: Whether the separator was guessed.
        columns: Position of the column of each role (``user``, ``item``, ``time``, ``rating``), from 0.
        guessed_columns: Name of each column that was recognised by a usual name, by role.
        unread_time: Name of a column that seems to hold times but is not read; None where there is none.
        names: Name of the column of each role; None where the file has no line of names.
        width: Number of fields in a line.
        start: Bytes before the first row.
        first: The first row.
    """

    source: str
    separator: str
    guessed: bool
    columns: dict[str, int]
    guessed_columns: dict[str, str]
    unread_time: str | None
    names: dict[str, str] | None
    width: int
    start: int
    first: Line

    @property
    def quoted(self) -> bool:
        """Whether fields can stand in double quotes."""
        return quotes(self.separator)

    @property
    def separator_shown(self) -> str:
        """The separator as messages show it, with a hint if it was guessed."""
        return f"{self.separator!r} (guessed; layout.separator chooses)" if self.guessed else repr(self.separator)


def recognise(content: IO[bytes], layout: Layout, source: str) -> TextForm:
    """Find separator and columns from a file's first lines.

    Raises:
        InputError: The file has no rows, a column cannot be found, or a line of names is a row or the reverse.
    """
    lines = (line for line in numbered_lines(content, source) if line.number > layout.skip_lines)
    sample = list(islice(lines, SAMPLE_ROWS))
    rows = sample[1:] if layout.header else sample
    if not rows:
        raise InputError(f"{source}: holds no rows{' below its line of names' if sample else ''}.")
    separator = layout.separator or _best_separator(sample, layout)
    if separator is None:
        raise InputError(_missing_column(sample[0], layout, SEPARATORS, source))
    try:
        fields = fields_of(sample[0].text, separator)
        columns, guessed = find_columns(fields, layout)
    except (ValueError, ColumnError):
        raise InputError(_missing_column(sample[0], layout, (separator,), source)) from None
    _check_names(sample[0], fields, columns, layout, source)
    return TextForm(
        source,
        separator,
        layout.separator is None,
        columns,
        {role: fields[columns[role]].strip() for role in guessed},
        unread_time(fields, columns, layout),
        {role: fields[place].strip() for role, place in columns.items()} if layout.header else None,
        len(fields),
        rows[0].start,
        rows[0],
    )


def _best_separator(sample: Sequence[Line], layout: Layout) -> str | None:
    """The separator that fits the first lines best; none where none gives all columns.

    A space is the last resort: it stands in text of all kinds. Then that one wins whose ids hold no other separator,
    whose lines have one width, and whose lines have most fields, in this order.
    """
    fits = {}
    for separator in SEPARATORS:
        try:
            fields = fields_of(sample[0].text, separator)
            columns, _ = find_columns(fields, layout)
        except (ValueError, ColumnError):
            continue
        even, clean = _fit(sample[1:] if layout.header else sample, separator, len(fields), columns)
        fits[separator] = (separator != " ", clean, even, len(fields))
    return max(fits, key=lambda separator: fits[separator]) if fits else None


def _fit(rows: Sequence[Line], separator: str, width: int, columns: dict[str, int]) -> tuple[int, int]:
    """How many rows have the width, and how many ids in them hold no other separator."""
    even, clean = 0, 0
    for row in rows:
        try:
            fields = fields_of(row.text, separator)
        except ValueError:
            continue
        if len(fields) == width:
            even += 1
            ids = (fields[columns[role]] for role in ("user", "item"))
            clean += sum(
                not any(other in text for other in SEPARATORS if other not in (separator, " ")) for text in ids
            )
    return even, clean


def _check_names(line: Line, fields: list[str], columns: dict[str, int], layout: Layout, source: str) -> None:
    """Refuse a row that is taken for the line of names, and the reverse."""
    user, item = (fields[columns[role]].strip() for role in ("user", "item"))
    if layout.header and looks_like_row(fields, layout):
        raise InputError(
            f"{source}, line {line.number}: looks like a row, not like a line of names ({', '.join(fields[:4])[:80]}); "
            "if it is a row, say so (layout.header), else choose the columns by their names."
        )
    if not layout.header and looks_like_names(user, item):
        raise InputError(
            f"{source}, line {line.number}: looks like a line of names ({user!r}, {item!r}), but the file is said to "
            "have none (layout.header)."
        )


def _missing_column(line: Line, layout: Layout, candidates: Sequence[str], source: str) -> str:
    """What to say when no separator gives all columns: the view under the separator that gives most fields."""
    splits = []
    for separator in candidates:
        try:
            splits.append((fields_of(line.text, separator), separator))
        except ValueError as error:
            if len(candidates) == 1:
                return f"{source}, line {line.number}: has {error}."
    # Not by a space, if anything else separates.
    fields, separator = max(splits, key=lambda split: (split[1] != " " and len(split[0]) > 1, len(split[0])))
    try:
        find_columns(fields, layout)
    except ColumnError as error:
        names = ", ".join(repr(name.strip()) for name in fields[:20])[:300]
        said = f"names {names}" if layout.header else f"has {len(fields)} fields: {names}"
        hint = " If it is a row, say so (layout.header)." if layout.header and any(map(is_value, fields)) else ""
        return f"{source}, line {line.number}: {error.reason}; with the separator {separator!r} the line {said}.{hint}"
    return f"{source}, line {line.number}: the columns cannot be told apart."
