"""Where a file has its columns, and how they are to be understood."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from fedrec.errors import InputError

IdType = Literal["auto", "integer", "text"]
MissingIds = Literal["refused", "ignored", "ids"]
LowRatings = Literal["ignored", "touched"]
TimeFormat = Literal["auto", "s", "ms", "us", "ns", "iso"]

SEPARATORS = ("\t", ",", ";", "|", "::", " ")
NO_TIME = "none"


@dataclass(frozen=True)
class Layout:
    r"""Columns of a file of interactions; what is not named is not read.

    Attributes:
        user: Column of user ids: its name, or its position from 0; null takes the column with a usual name, such as
            ``user``, ``userId`` or ``reviewerID``, and says which.
        item: Column of item ids; null as for users.
        time: Column of times; null takes one with a usual name, such as ``timestamp``, if there is one; ``none`` reads
            no times.
        rating: Column that ``minimum_rating`` looks at.
        minimum_rating: Lowest rating that counts as an interaction. Of several rows of one user and item the newest
            counts: an item rated 5 and later 1 is not liked. Of rows with one time, or without times, the lowest does.
        low_ratings: What items below it, explicit negatives, are. ``ignored``: left out, as if the user had never
            touched the item. ``touched``: their items are no candidates of the user and never recommended to the user;
            like any item that the user does not train on, they can be drawn as training negatives.
        separator: What stands between the fields of delimited text: a tab (also written ``\t``), ``,``, ``;``, ``|``,
            ``::`` or a space; null takes the one that fits the first lines best, and says which.
        header: Whether the first line of delimited text names the columns.
        skip_lines: Lines before that, or before the first row.
        ids: ``auto`` sorts ids by number if all of a column are whole numbers, else as text, and refuses one id in two
            spellings; ``integer`` insists on whole numbers; ``text`` takes ids as the text that they are.
        missing_ids: What a row is whose user or item is empty or ``NULL``, ``nan``, ``NA`` and the like. ``refused``:
            an error. ``ignored``: left out, and said. ``ids``: those words are ids like others; an empty one is not.
        time_format: ``iso`` for dates or times as ISO 8601 has them (UTC unless they say otherwise), or the unit of
            numbers since 1970: ``s``, ``ms``, ``us``, ``ns``. ``auto`` guesses, and says what.
        encoding: Of delimited text, by its name in Python: ``utf-8``, ``latin-1``, ``cp1252``, ``utf-16``.
        member: Which file of a ZIP archive; null where the archive has one.
    """

    # Numbers first: what is typed on a command line is a position if it can be one.
    user: int | str | None = None
    item: int | str | None = None
    time: int | str | None = None
    rating: int | str | None = None
    minimum_rating: float | None = None
    low_ratings: LowRatings = "ignored"
    separator: str | None = None
    header: bool = True
    skip_lines: int = 0
    ids: IdType = "auto"
    missing_ids: MissingIds = "refused"
    time_format: TimeFormat = "auto"
    encoding: str = "utf-8"
    member: str | None = None

    def __post_init__(self) -> None:
        if self.separator == r"\t":  # as it is typed on a command line
            object.__setattr__(self, "separator", "\t")
        self._check_columns()
        self._check_rating()
        if self.separator is not None and self.separator not in SEPARATORS:
            raise InputError(
                f"layout.separator is {self.separator!r}; expected one of {', '.join(map(repr, SEPARATORS))}."
            )
        if self.skip_lines < 0:
            raise InputError(f"layout.skip_lines is {self.skip_lines}; expected 0 or more.")
        try:
            "".encode(self.encoding)
        except (LookupError, UnicodeError, ValueError):
            raise InputError(
                f"layout.encoding is {self.encoding!r}; expected an encoding of text, such as 'utf-8' or 'latin-1'."
            ) from None

    @property
    def columns(self) -> dict[str, str | int]:
        """Column of each role that is chosen here: of user, item, time and rating."""
        chosen = {"user": self.user, "item": self.item, "time": self.time, "rating": self.rating}
        if self.time == NO_TIME:
            del chosen["time"]
        return {role: column for role, column in chosen.items() if column is not None}

    def _check_columns(self) -> None:
        places: dict[str | int, str] = {}
        for role, column in self.columns.items():
            if isinstance(column, bool) or (isinstance(column, int) and column < 0) or column == "":
                raise InputError(f"layout.{role} is {column!r}; expected a column's name, or its position from 0.")
            if isinstance(column, str) and not self.header:
                raise InputError(
                    f"layout.{role} is {column!r}, but the file is said to have no line of names (layout.header): "
                    "without one a column is given by its position, from 0."
                )
            if column in places:
                raise InputError(f"layout.{role} and layout.{places[column]} are both {column!r}; expected two.")
            places[column] = role
        for role in ("user", "item"):
            if not self.header and role not in self.columns:
                raise InputError(
                    f"layout.{role} is missing; expected the column's position, from 0: the file is said to have no "
                    "line of names (layout.header)."
                )

    def _check_rating(self) -> None:
        if (self.rating is None) != (self.minimum_rating is None):
            raise InputError(
                f"layout.rating is {self.rating!r} and layout.minimum_rating is {self.minimum_rating}; expected both "
                "or neither: a rating is only read to compare it with the minimum, from the column that layout.rating "
                "names."
            )
        if self.low_ratings != "ignored" and self.minimum_rating is None:
            raise InputError(f"layout.low_ratings is {self.low_ratings!r}; expected layout.minimum_rating beside it.")
        if self.minimum_rating is not None and not math.isfinite(self.minimum_rating):
            raise InputError(f"layout.minimum_rating is {self.minimum_rating}; expected a number.")
