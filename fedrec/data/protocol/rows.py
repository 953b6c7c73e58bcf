"""The rows that a protocol keeps, and the newest of every user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedrec.data.draws import Int64s, hash_u64, shuffled_within
from fedrec.data.protocol.presets import Duplicates, Protocol, Ties

if TYPE_CHECKING:
    from fedrec.data.interactions import Interactions


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

    def without(self, rows: Int64s) -> Rows:
        """The same without some rows; users and items keep their numbers."""
        user, item, time = (np.delete(column, rows) for column in (self.user, self.item, self.time))
        return Rows(user, item, time, self.users, self.items)


def kept_rows(interactions: Interactions, protocol: Protocol) -> Rows:
    """Apply a protocol's duplicates and minimum counts; the result does not depend on the order of equal rows."""
    user, item, time = _by_user_and_item(interactions, _times(interactions, protocol.ties), protocol.duplicates)
    while len(user):
        keep = np.bincount(user)[user] >= protocol.min_user_rows
        if protocol.min_item_rows > 1:
            keep &= np.bincount(item)[item] >= protocol.min_item_rows
        if keep.all():
            break
        user, item, time = user[keep], item[keep], time[keep]
    users, user = _numbered_anew(user, interactions.num_users)
    items, item = _numbered_anew(item, interactions.num_items)
    return Rows(user, item, time, users, items)


def newest_rows(rows: Rows, ties: Ties, split_seed: int) -> Int64s:
    """Index of the newest row of every user, ``int64 [U]``; every user must have one.

    Of rows with equal time the one with the lowest item is taken (``lowest_item``), or the one whose (user, item) has
    the lowest hash (``hash``): a fixed random order, so that leaving out the newest row brings up the next.
    """
    newest_time = np.maximum.reduceat(rows.time, rows.indptr[:-1])
    tied = np.flatnonzero(rows.time == newest_time[rows.user])
    if ties == "hash":
        # The interactions' own indices: who else is kept has no say in the order of a user's ties.
        words = hash_u64(split_seed, "tie order", rows.users[rows.user[tied]], rows.items[rows.item[tied]])
        tied = tied[shuffled_within(rows.user[tied], words)]
    return tied[np.diff(rows.user[tied], prepend=-1) > 0]


def tied_users(rows: Rows) -> NDArray[np.bool_]:
    """``bool [U]``: whether a user has several items at its newest time, so that a tie decides which one is newest."""
    newest_time = np.maximum.reduceat(rows.time, rows.indptr[:-1])
    tied = rows.time == newest_time[rows.user]
    # By user and item, so a user's tied rows have one item alone if the first and the last have the same.
    user, item = rows.user[tied], rows.item[tied]
    starts = np.flatnonzero(np.diff(user, prepend=-1))
    ends = np.append(starts[1:], len(user)) - 1
    return np.asarray(item[starts] != item[ends])


def _by_user_and_item(
    interactions: Interactions, time: Int64s, duplicates: Duplicates
) -> tuple[Int64s, Int64s, Int64s]:
    """Columns sorted by user and item; of equal pairs, where duplicates are dropped, the newest time."""
    pair = interactions.user * interactions.num_items + interactions.item
    order = np.argsort(pair, kind="stable")
    pair, time = pair[order], time[order]
    if duplicates == "drop" and len(pair):
        starts = np.flatnonzero(np.diff(pair, prepend=-1))
        pair, time = pair[starts], np.maximum.reduceat(time, starts)
    user, item = np.divmod(pair, interactions.num_items)
    return user, item, time


def _times(interactions: Interactions, ties: Ties) -> Int64s:
    """The rows' times in file order; where the file has none, all equal or the published FedRecGEL loader's draws."""
    if interactions.timestamp is not None:
        return interactions.timestamp
    rows = len(interactions.user)
    if ties == "hash":
        return np.zeros(rows, dtype=np.int64)
    # A published constant, not a draw of fedrec's own: seed 42, one number per row in file order, before any filter.
    drawn: Int64s = np.random.default_rng(42).integers(0, 10**9, size=rows) * 10**6
    drawn += _running_number(interactions.user)
    return drawn


def _running_number(groups: Int64s) -> Int64s:
    """How many earlier rows have the same group, for every row."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    sizes = np.diff(starts, append=len(groups))
    numbers = np.empty(len(groups), dtype=np.int64)
    numbers[order] = np.arange(len(groups)) - np.repeat(starts, sizes)
    return numbers


def _numbered_anew(index: Int64s, size: int) -> tuple[Int64s, Int64s]:
    """The distinct indices, ascending, and each entry's place among them."""
    present = np.zeros(size, dtype=np.bool_)
    present[index] = True
    places = np.cumsum(present) - 1
    return np.flatnonzero(present), places[index]
