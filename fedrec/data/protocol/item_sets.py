"""One set of items per user, and its complement without ever writing the complement down."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fedrec.data.draws import Int64s


@dataclass(frozen=True)
class ItemSets:
    """A set of items for every user, as compressed sparse rows.

    Attributes:
        num_items: Number of items I.
        indptr: ``int64 [U + 1]``; user ``u`` owns ``items[indptr[u]:indptr[u + 1]]``.
        items: ``int64 [*]``, ascending and distinct within a user.
    """

    num_items: int
    indptr: Int64s
    items: Int64s

    @classmethod
    def of(cls, users: Int64s, items: Int64s, num_users: int, num_items: int) -> ItemSets:
        """Collect rows (user, item), in any order and with repetitions, both ``int64 [N]``.

        Distinct rows in order are taken as they are, without a copy.

        Example:
            >>> sets = ItemSets.of(np.array([1, 0, 1, 1]), np.array([2, 4, 0, 2]), num_users=2, num_items=5)
            >>> sets.items.tolist(), sets.num_outside.tolist()
            ([4, 0, 2], [4, 3])
            >>> sets.outside(np.array([1]), np.arange(3)).tolist()  # what user 1 has not
            [1, 3, 4]
        """
        pairs = users * num_items + items
        # Rows often come in order; sorting them again, or np.unique's hash table, takes many times as long as a look.
        if (pairs[1:] < pairs[:-1]).any():
            pairs.sort()
        elif (pairs[1:] > pairs[:-1]).all():
            indptr = np.searchsorted(users, np.arange(num_users + 1)).astype(np.int64)
            return cls(num_items, indptr, items)
        pairs = pairs[np.diff(pairs, prepend=-1) > 0]
        indptr = np.searchsorted(pairs, np.arange(num_users + 1, dtype=np.int64) * num_items)
        return cls(num_items, indptr.astype(np.int64), pairs % num_items)

    def of_users(self, users: Int64s) -> ItemSets:
        """The sets of some users ``int64 [B]``, who are 0, 1, … there: few enough to be searched in the caches.

        Example:
            >>> sets = ItemSets.of(np.array([0, 1, 1, 2]), np.array([4, 0, 2, 3]), num_users=3, num_items=5)
            >>> sets.of_users(np.array([2, 1])).items.tolist()
            [3, 0, 2]
        """
        indptr, places = places_of(self.indptr, users)
        return ItemSets(self.num_items, indptr, self.items[places])

    @property
    def num_users(self) -> int:
        """Number of users U."""
        return len(self.indptr) - 1

    @cached_property
    def num_outside(self) -> Int64s:
        """``int64 [U]`` how many items are not in each user's set."""
        return self.num_items - np.diff(self.indptr)

    def outside(self, users: Int64s, ranks: Int64s) -> Int64s:
        """The items outside a user's set, by rank: rank 0 is the lowest item that is not in it.

        The i-th member a_i has a_i - i non-members below it, so the r-th non-member is r plus the number of members
        with a_i - i <= r: one binary search among all users' values, kept apart by an offset per user.

        Args:
            users: ``int64``, broadcasts against ``ranks``.
            ranks: ``int64``, each from 0 to below ``num_outside[user]``.

        Returns:
            ``int64``, the broadcast shape.
        """
        items = np.searchsorted(self._search_keys, users * self.num_items + ranks, side="right")
        items -= self.indptr[users]  # so far: how many of the user's items are below
        items += ranks
        return items

    def contain(self, users: Int64s, items: Int64s) -> NDArray[np.bool_]:
        """Whether each item is in its user's set; ``users`` and ``items`` broadcast."""
        pairs = users * self.num_items + items
        places = np.searchsorted(self._pairs, pairs)
        return np.asarray(np.append(self._pairs, -1)[places] == pairs)

    @property
    def owners(self) -> Int64s:
        """``int64 [*]`` the user of every element of ``items``."""
        return np.repeat(np.arange(self.num_users, dtype=np.int64), np.diff(self.indptr))

    @cached_property
    def _search_keys(self) -> Int64s:
        below = self.items - (np.arange(len(self.items)) - np.repeat(self.indptr[:-1], np.diff(self.indptr)))
        return self.owners * self.num_items + below

    @cached_property
    def _pairs(self) -> Int64s:
        return self.owners * self.num_items + self.items


def places_of(indptr: Int64s, users: Int64s) -> tuple[Int64s, Int64s]:
    """Where the entries of some users stand in compressed sparse rows, one user after another.

    Args:
        indptr: ``int64 [U + 1]`` row pointers.
        users: ``int64 [B]``.

    Returns:
        Row pointers ``int64 [B + 1]`` of these users alone, and the places ``int64 [*]`` of their entries.

    Example:
        >>> indptr, places = places_of(np.array([0, 2, 3, 6]), np.array([2, 0]))
        >>> indptr.tolist(), places.tolist()
        ([0, 3, 5], [3, 4, 5, 0, 1])
    """
    counts = indptr[users + 1] - indptr[users]
    own = np.concatenate([[0], np.cumsum(counts)])
    return own, np.arange(own[-1]) + np.repeat(indptr[users] - own[:-1], counts)
