"""Where a file has its columns, and how they are to be understood."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from fedrec.errors import InputError

IdType = Literal["auto", "integer", "text"]
LowRatings = Literal["ignored", "touched"]
TimeFormat = Literal["auto", "s", "ms", "us", "ns", "iso"]

SEPARATORS = ("\t", ",", ";", "|", "::", " ")


@dataclass(frozen=True)
class Layout:
    r"""Columns of a file of interactions; what is not named is not read.

    Attributes:
        user: Column of user ids: its name, or its position from 0.
        item: Column of item ids.
        time: Column of times; null where there is none.
        rating: Column that ``minimum_rating`` looks at.
        minimum_rating: Lowest rating that counts as an interaction. Of several rows of one user and item the newest
            counts: an item rated 5 and later 1 is not liked.
        low_ratings: What items below it, explicit negatives, are. ``ignored``: left out, as if the user had never
            touched the item. ``touched``: their items are no candidates of the user and never recommended to the user;
            like any item that the user does not train on, they can be drawn as training negatives.
        separator: What stands between the fields of delimited text: a tab, ``,``, ``;``, ``|``, ``::`` or a space; null
            takes the first of these under which the columns can be found, and says which.
        header: Whether the first line of delimited text names the columns.
        skip_lines: Lines before that, or before the first row.
        ids: ``auto`` sorts ids by number if all of a column are whole numbers, else as text; ``integer`` insists on
            whole numbers; ``text`` takes them as text even so.
        time_format: ``iso`` for dates or times as ISO 8601 has them (UTC unless they say otherwise), or the unit of
            whole numbers since 1970: ``s``, ``ms``, ``us``, ``ns``. ``auto`` guesses, and says what.
        member: Which file of a ZIP archive; null where the archive has one.
    """

    user: str | int = "user"
    item: str | int = "item"
    time: str | int | None = None
    rating: str | int | None = None
    minimum_rating: float | None = None
    low_ratings: LowRatings = "ignored"
    separator: str | None = None
    header: bool = True
    skip_lines: int = 0
    ids: IdType = "auto"
    time_format: TimeFormat = "auto"
    member: str | None = None

    def __post_init__(self) -> None:
        places: dict[str | int, str] = {}
        for role, column in self.columns.items():
            if isinstance(column, bool) or (isinstance(column, int) and column < 0) or column == "":
                raise InputError(f"layout.{role} is {column!r}; expected a column's name, or its position from 0.")
            if isinstance(column, str) and not self.header:
                raise InputError(
                    f"layout.{role} is {column!r}, but layout.header is false: without a line of names a column is "
                    "given by its position, from 0."
                )
            if column in places:
                raise InputError(f"layout.{role} and layout.{places[column]} are both {column!r}; expected two.")
            places[column] = role
        if self.separator is not None and self.separator not in SEPARATORS:
            raise InputError(
                f"layout.separator is {self.separator!r}; expected one of {', '.join(map(repr, SEPARATORS))}."
            )
        if self.skip_lines < 0:
            raise InputError(f"layout.skip_lines is {self.skip_lines}; expected 0 or more.")
        if (self.rating is None) != (self.minimum_rating is None):
            raise InputError(
                f"layout.rating is {self.rating!r} and layout.minimum_rating is {self.minimum_rating}; expected both "
                "or neither: a rating is only read to compare it with the minimum."
            )
        if self.low_ratings != "ignored" and self.minimum_rating is None:
            raise InputError(f"layout.low_ratings is {self.low_ratings!r}; expected layout.minimum_rating beside it.")
        if self.minimum_rating is not None and not math.isfinite(self.minimum_rating):
            raise InputError(f"layout.minimum_rating is {self.minimum_rating}; expected a number.")

    @property
    def columns(self) -> dict[str, str | int]:
        """Column of each role that the file is read for: user, item, and time and rating where they are set."""
        chosen = {"user": self.user, "item": self.item, "time": self.time, "rating": self.rating}
        return {role: column for role, column in chosen.items() if column is not None}
