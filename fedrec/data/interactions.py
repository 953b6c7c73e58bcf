"""Interactions: who interacted with what, and when, as it stands in a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedrec.errors import InputError

Int64s = NDArray[np.int64]
TimeUnit = Literal["s", "ms", "us", "ns"]


@dataclass(frozen=True)
class Counts:
    """How many users, items and rows there are."""

    users: int
    items: int
    rows: int


@dataclass(frozen=True)
class RatingFilter:
    """Rows that are in the file and are no interactions, because their rating is too low.

    What becomes of a (user, item) with several rows, some of them low, is the protocol's business: the newest says.

    Attributes:
        minimum: Lowest rating that counts as an interaction.
        low: ``bool [N]`` which rows are below it.
        touched: Whether the items of such rows count as touched by their users, and no more: explicit negatives.
    """

    minimum: float
    low: NDArray[np.bool_]
    touched: bool = False


@dataclass(frozen=True)
class Interactions:
    """Rows (user, item[, timestamp]) with dense indices and the raw ids behind them.

    The index of an id is its rank among the ids in use: by number where all ids are whole numbers, whether the file
    has them as text or as numbers, else by code points. Rows stand in the order of the file.

    Attributes:
        name: Name of the data set.
        user: ``int64 [N]`` index into ``user_ids``.
        item: ``int64 [N]`` index into ``item_ids``.
        timestamp: ``int64 [N]`` since 1970 in ``time_unit``; none where the file has no times.
        user_ids: ``[U]`` raw ids, ``int64`` or ``object`` (``str``), ascending.
        item_ids: ``[I]`` raw ids, the same.
        source: The file they came from, for messages.
        time_unit: Unit of ``timestamp``; none where there are no timestamps or nobody said.
        notes: What was guessed or left out in reading, one sentence each, for the reader of a log.
        ratings: Which of the rows have too low a rating to count; none where all count.
        unused_time: Name of a column that looks like the times of the rows and was not read; none where there is none.
    """

    name: str
    user: Int64s
    item: Int64s
    timestamp: Int64s | None
    user_ids: NDArray[np.generic]
    item_ids: NDArray[np.generic]
    source: str
    time_unit: TimeUnit | None = None
    notes: tuple[str, ...] = ()
    ratings: RatingFilter | None = None
    unused_time: str | None = None

    def __post_init__(self) -> None:
        if len(self.user) == 0:
            raise InputError(f"{self.source}: there are no rows.")
        columns = {"user": self.user, "item": self.item}
        if self.timestamp is not None:
            columns["timestamp"] = self.timestamp
        for name, column in columns.items():
            if column.dtype != np.int64 or column.shape != (len(self.user),):
                raise InputError(
                    f"{self.source}: column {name} is {column.dtype} {list(column.shape)}; "
                    f"expected int64 [{len(self.user)}]."
                )
        if self.ratings is not None and self.ratings.low.shape != (len(self.user),):
            raise InputError(
                f"{self.source}: low ratings are {list(self.ratings.low.shape)}; expected [{len(self.user)}]."
            )
        indices = [("user", self.user, self.user_ids), ("item", self.item, self.item_ids)]
        for name, column, ids in indices:
            lowest, highest = column.min(), column.max()
            if lowest < 0 or highest >= len(ids):
                raise InputError(
                    f"{self.source}: {name} index {lowest if lowest < 0 else highest}; "
                    f"expected 0 to {len(ids) - 1} for {len(ids)} ids."
                )

    def __len__(self) -> int:
        """Number of rows N."""
        return len(self.user)

    @property
    def num_users(self) -> int:
        """Number of users U."""
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """Number of items I."""
        return len(self.item_ids)

    @property
    def counts(self) -> Counts:
        """Users and items that have rows, and rows; those with a low rating included."""
        users, items = (int(np.count_nonzero(np.bincount(column))) for column in (self.user, self.item))
        return Counts(users, items, len(self))
