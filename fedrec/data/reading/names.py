"""Names of columns: those that the field uses, and whether a line is one of names at all."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fedrec.data.reading.layout import NO_TIME, Layout

# The usual names of each role, the likelier first; compared by letters and digits alone, in lower case.
KNOWN = {
    "user": (
        *("user", "userid", "uid", "reviewerid", "customer", "customerid", "visitorid", "memberid", "accountid"),
        *("useridx", "userindex", "username", "profileid", "personid", "buyerid", "clientid", "member", "visitor"),
    ),
    "item": (
        *("item", "itemid", "iid", "movieid", "asin", "productid", "artistid", "trackid", "songid", "bookid", "isbn"),
        *(
            "articleid",
            "newsid",
            "videoid",
            "gameid",
            "animeid",
            "recipeid",
            "businessid",
            "beerid",
            "poiid",
            "venueid",
        ),
        *("locationid", "itemidx", "itemindex", "movie", "product", "artist", "article", "book", "video"),
    ),
    "time": (
        *("timestamp", "time", "unixreviewtime", "unixtime", "ts", "datetime", "date", "eventtime", "ratingtime"),
        *("ratingtimestamp", "reviewtime", "createdat", "timestamps"),
    ),
}
ROLES = ("user", "item", "time", "rating")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d([ T].*)?")
_TIMELIKE = re.compile(r"(?:^|[\W_])(?:time|timestamp|date|datetime|ts|when|at)(?:$|[\W_])")


class ColumnError(LookupError):
    """A column that cannot be found.

    Args:
        role: Whose column it is.
        reason: What is there instead, without the list of names.
    """

    def __init__(self, role: str, reason: str) -> None:
        super().__init__(reason)
        self.role, self.reason = role, reason


def find_columns(names: Sequence[str], layout: Layout) -> tuple[dict[str, int], list[str]]:
    """Where the columns of a layout are.

    Args:
        names: Names of all columns, or any fields where the file has no names.
        layout: Which columns are meant; those that it leaves open are guessed by their usual names.

    Returns:
        The position of every role that is read, and the roles that were guessed.

    Raises:
        ColumnError: A column is not there, or there twice.
    """
    bare = [name.strip() for name in names]
    columns = {role: _chosen(bare, role, column) for role, column in layout.columns.items()}
    guessed = []
    for role in KNOWN:
        left_open = layout.header and role not in layout.columns and not (role == "time" and layout.time == NO_TIME)
        if left_open and (place := _guess(bare, role, set(columns.values()))) is not None:
            columns[role] = place
            guessed.append(role)
    for role in ("user", "item"):
        if role not in columns:
            usual = ", ".join(KNOWN[role][:4])
            raise ColumnError(role, f"no column has a usual name of {role} ids ({usual}, ...); set layout.{role}")
    if len(set(columns.values())) < len(columns):
        roles = [role for role, place in columns.items() if list(columns.values()).count(place) > 1]
        raise ColumnError(roles[1], f"layout.{roles[0]} and layout.{roles[1]} are the same column")
    return {role: columns[role] for role in ROLES if role in columns}, guessed


def unread_time(names: Sequence[str], columns: dict[str, int], layout: Layout) -> str | None:
    """Name of a column that looks like times where none is read, unless that is what the layout asks for."""
    if "time" in columns or layout.time == NO_TIME or not layout.header:
        return None
    bare = [re.sub(r"([a-z])([A-Z])", r"\1_\2", name.strip().partition(":")[0]).lower() for name in names]
    places = set(columns.values())
    return next((names[p].strip() for p, name in enumerate(bare) if p not in places and _TIMELIKE.search(name)), None)


def looks_like_row(fields: Sequence[str], layout: Layout) -> bool:
    """Whether a line that is to name the columns is a row of data: it has a number or a date for a name.

    Asked only where columns are chosen by position; who chooses a column by its name has seen the names. Names that
    count the columns, ``0,1,2``, are names.
    """
    by_position = any(isinstance(column, int) for column in layout.columns.values())
    bare = [field.strip() for field in fields]
    counted = bare in ([str(place + first) for place in range(len(bare))] for first in (0, 1))
    return by_position and not counted and any(map(is_value, bare))


def is_value(text: str) -> bool:
    """Whether a text is a number or a date, and no name."""
    return bool(_NUMBER.fullmatch(text.strip()) or _DATE.fullmatch(text.strip()))


def looks_like_names(user: str, item: str) -> bool:
    """Whether the user and item of a first row are the usual names of such columns."""
    return _folded(user) in KNOWN["user"] and _folded(item) in KNOWN["item"]


def _chosen(bare: list[str], role: str, column: str | int) -> int:
    if isinstance(column, int):
        if column >= len(bare):
            raise ColumnError(role, f"there is no column {column} for layout.{role}, counted from 0")
        return column
    if bare.count(column.strip()) != 1:
        there = "are several columns" if column.strip() in bare else "is no column"
        raise ColumnError(role, f"there {there} {column!r} for layout.{role}")
    return bare.index(column.strip())


def _guess(bare: list[str], role: str, taken: set[int]) -> int | None:
    folded = [_folded(name) for name in bare]
    for name in KNOWN[role]:
        places = [place for place, other in enumerate(folded) if other == name and place not in taken]
        if len(places) > 1:
            several = " and ".join(repr(bare[place]) for place in places[:3])
            raise ColumnError(role, f"{several} could all be layout.{role}, which is not set")
        if places:
            return places[0]
    return None


def _folded(name: str) -> str:
    """Letters and digits of a name; what stands after a colon is RecBole's type of the column."""
    return re.sub(r"[\W_]", "", name.partition(":")[0]).lower()
