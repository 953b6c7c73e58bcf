"""Rows by user and item, and the newest of every user."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedrec.data.draws import Int64s, hash_u64, shuffled_within
from fedrec.data.protocol.presets import Ties


@dataclass(frozen=True)
class Rows:
    """Rows of the kept users, by user and item, with users and items numbered anew.

    Attributes:
        user: ``int64 [N]``, ascending.
        item: ``int64 [N]``, ascending within a user.
        time: ``int64 [N]`` in whatever unit the file has.
        users: ``int64 [U]`` index in the interactions of each kept user, ascending.
        items: ``int64 [I]`` the same for items.
    """

    user: Int64s
    item: Int64s
    time: Int64s
    users: Int64s
    items: Int64s

    @property
    def indptr(self) -> Int64s:
        """``int64 [U + 1]`` row pointers."""
        return np.searchsorted(self.user, np.arange(len(self.users) + 1)).astype(np.int64)

    def where(self, mask: NDArray[np.bool_]) -> Rows:
        """Some of the rows; users and items keep their numbers."""
        return Rows(self.user[mask], self.item[mask], self.time[mask], self.users, self.items)

    def of_users(self, users: Int64s) -> Rows:
        """The rows of some users, ``int64 [B]`` ascending, who are 0, 1, … there."""
        own = self.where(np.isin(self.user, users))
        return replace(own, user=np.searchsorted(users, own.user).astype(np.int64), users=self.users[users])


@dataclass(frozen=True)
class Newest:
    """One row of every user, the newest.

    Attributes:
        item: ``int64 [U]`` its item.
        time: ``int64 [U]`` its time.
        tied: ``bool [U]`` whether several items stand at the user's newest time, so that a tie decided.
    """

    item: Int64s
    time: Int64s
    tied: NDArray[np.bool_]


def hold_out_newest(rows: Rows, ties: Ties, split_seed: int, other_than: Int64s | None = None) -> tuple[Newest, Rows]:
    """Take the newest row of every user, and leave the rest.

    Of rows with equal time the one with the lowest item is taken (``lowest_item``), or the one whose (user, item) has
    the lowest hash (``hash``): a fixed random order, so that leaving out the newest row brings up the next.

    Args:
        rows: The rows.
        ties: The rule for equal times.
        split_seed: Seed of that order.
        other_than: ``int64 [U]`` an item of every user that is not to be taken. Every user must have another.

    Example:
        >>> user, item, time = np.array([0, 0, 0, 1, 1]), np.array([4, 5, 5, 4, 6]), np.array([1, 2, 3, 9, 9])
        >>> rows = Rows(user, item, time, users=np.arange(2), items=np.arange(7))
        >>> newest, rest = hold_out_newest(rows, "lowest_item", split_seed=0)
        >>> newest.item.tolist(), newest.tied.tolist()
        ([5, 4], [False, True])
        >>> hold_out_newest(rest, "lowest_item", 0, other_than=newest.item)[0].item.tolist()
        [4, 6]
    """
    open_rows = np.arange(len(rows.user)) if other_than is None else np.flatnonzero(rows.item != other_than[rows.user])
    user, time = rows.user[open_rows], rows.time[open_rows]
    newest_time = np.maximum.reduceat(time, run_starts(user))
    at_newest = open_rows[time == newest_time[user]]
    tied = _several_items(rows.user[at_newest], rows.item[at_newest])
    if ties == "hash":
        # The interactions' own indices: who else is kept has no say in the order of a user's ties.
        user, item = rows.user[at_newest], rows.item[at_newest]
        words = hash_u64(split_seed, "tie order", rows.users[user], rows.items[item])
        at_newest = at_newest[shuffled_within(user, words)]
    taken = at_newest[run_starts(rows.user[at_newest])]
    rest = np.ones(len(rows.user), dtype=np.bool_)
    rest[taken] = False
    return Newest(rows.item[taken], rows.time[taken], tied), rows.where(rest)


def _several_items(user: Int64s, item: Int64s) -> NDArray[np.bool_]:
    """Whether each user has several items; rows stand by user and item."""
    starts = run_starts(user)
    ends = np.append(starts[1:], len(user)) - 1
    return np.asarray(item[starts] != item[ends])


def run_starts(ascending: Int64s) -> Int64s:
    """Where each distinct number of an ascending array begins; all are 0 or more."""
    return np.flatnonzero(np.diff(ascending, prepend=-1))
