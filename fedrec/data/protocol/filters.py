"""What a protocol leaves of the rows of a file, filter by filter."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedrec.data.draws import Int64s
from fedrec.data.interactions import Counts, Interactions
from fedrec.data.protocol.cut import cut_time
from fedrec.data.protocol.presets import Protocol, Ties
from fedrec.data.protocol.rows import Rows, run_starts

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Step:
    """One filter.

    Attributes:
        keeps: What it keeps, in words.
        left: Users, items and rows after it.
    """

    keeps: str
    left: Counts


@dataclass(frozen=True)
class Kept:
    """What the filters leave.

    Attributes:
        rows: The rows.
        disliked: ``int64 [2, L]`` pairs (user, item), numbered as the rows are, that are touched and no more; none
            where the file sets none apart.
        steps: The filters that were applied, in order.
        cut: The time before which rows are trained on; none where the protocol does not cut by time.
    """

    rows: Rows
    disliked: Int64s | None
    steps: tuple[Step, ...]
    cut: int | None = None


@dataclass(frozen=True)
class _Sorted:
    """Rows by user and item: ``int64 [N]`` users, items and times, and which count as liked (none: all do)."""

    user: Int64s
    item: Int64s
    time: Int64s
    liked: Bools | None

    def where(self, mask: Bools) -> _Sorted:
        if mask.all():
            return self
        return self._taking(mask, self.time[mask], None if self.liked is None else self.liked[mask])

    def newest_of_pairs(self) -> _Sorted:
        """One row a pair, at its newest time; it is liked if any row of the pair is."""
        starts = self.pair_starts()
        if len(starts) == len(self.user):
            return self
        liked = None if self.liked is None else np.logical_or.reduceat(self.liked, starts)
        return self._taking(starts, np.maximum.reduceat(self.time, starts), liked)

    def pair_starts(self) -> Int64s:
        """Where each distinct pair begins."""
        changed = np.ones(len(self.user), dtype=np.bool_)
        np.not_equal(self.item[1:], self.item[:-1], out=changed[1:])
        changed[1:] |= self.user[1:] != self.user[:-1]
        return np.flatnonzero(changed)

    def step(self, keeps: str) -> Step:
        users, items = (int(np.count_nonzero(np.bincount(column))) for column in (self.user, self.item))
        return Step(keeps, Counts(users, items, len(self.user)))

    def _taking(self, which: Bools | Int64s, time: Int64s, liked: Bools | None) -> _Sorted:
        return _Sorted(self.user[which], self.item[which], time, liked)


def kept_rows(interactions: Interactions, protocol: Protocol) -> Kept:
    """Apply a protocol's filters; what is left does not depend on the order of equal rows.

    First the newest row of every pair (user, item), where duplicates are dropped; then, where the file has a minimum
    rating, what reaches it; then users and items with enough rows; then, where the protocol cuts by time, those with a
    row before the cut.

    The newest row of a pair says whether the user likes the item: one rated 5 and later 1 is not liked. Where
    duplicates are kept, a pair that is not liked loses all of its rows, and a liked one those that are low.

    Raises:
        InputError: The protocol cuts by time, and there are no times, or nothing is before the cut.

    Example:
        >>> from fedrec.data.protocol.presets import protocol_named
        >>> from fedrec.data.synthetic import Plan, synthetic
        >>> for step in kept_rows(synthetic(Plan(users=50, items=200, rows=900), 0), protocol_named("fair")).steps:
        ...     print(step.keeps, step.left)
        the newest row of each pair Counts(users=50, items=170, rows=900)
        at least 5 distinct items per user Counts(users=43, items=170, rows=877)
    """
    rows, ratings = _sorted_rows(interactions, protocol.ties), interactions.ratings
    steps: list[Step] = []
    if protocol.duplicates == "drop":
        rows = rows.newest_of_pairs()
        steps.append(rows.step("the newest row of each pair"))
    disliked = None
    if ratings is not None:
        disliked = _disliked(rows) if ratings.touched else None
        rows = rows if rows.liked is None else rows.where(rows.liked)
        steps.append(rows.step(f"a rating of {ratings.minimum:g} or more"))
    rows = _with_enough_rows(rows, protocol)
    steps.append(rows.step(limits(protocol)))
    cut = None
    if protocol.cut is not None and len(rows.user):
        cut = cut_time(rows.time, protocol, interactions)
        rows = _with_rows_before(rows, cut)
        steps.append(rows.step("users and items with rows before the cut"))
    users, user = _numbered_anew(rows.user, interactions.num_users)
    items, item = _numbered_anew(rows.item, interactions.num_items)
    kept = Rows(user, item, rows.time, users, items)
    return Kept(kept, None if disliked is None else _among_kept(disliked, kept), tuple(steps), cut)


def limits(protocol: Protocol) -> str:
    """What a protocol asks of a user, and of an item if it does, in words."""
    said = f"at least {protocol.min_user_rows} {'distinct items' if protocol.duplicates == 'drop' else 'rows'} per user"
    if protocol.duplicates == "keep" and protocol.validation_item:
        said += " of at least 2 items"
    return said if protocol.min_item_rows == 1 else f"{said} and {protocol.min_item_rows} rows per item"


def asked(protocol: Protocol) -> str:
    """What a protocol asks of a user whom it keeps, in words."""
    return limits(protocol) + (", and one of them before the cut in time" if protocol.cut is not None else "")


def _sorted_rows(interactions: Interactions, ties: Ties) -> _Sorted:
    """All rows of the file; liked are those of a liked pair that are not low themselves.

    A pair is liked if none of its newest rows is low: of rows with one time, the least favourable decides.
    """
    pairs = interactions.user * interactions.num_items + interactions.item
    order: Int64s | slice = slice(None)  # rows that come in order are not copied
    if (pairs[1:] < pairs[:-1]).any():
        order = np.argsort(pairs, kind="stable")
    del pairs
    time = _times(interactions, ties)[order]
    rows = _Sorted(interactions.user[order], interactions.item[order], time, None)
    if interactions.ratings is None:
        return rows
    # By the file's own times, never by drawn ones: what a user likes is no matter of chance.
    known = np.zeros_like(time) if interactions.timestamp is None else time
    starts = rows.pair_starts()
    owner = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(time)))
    low = interactions.ratings.low[order]
    against = low & (known == np.maximum.reduceat(known, starts)[owner])
    return replace(rows, liked=~low & ~np.logical_or.reduceat(against, starts)[owner])


def _disliked(rows: _Sorted) -> tuple[Int64s, Int64s]:
    """Users and items of the pairs that are not liked."""
    pairs = rows.newest_of_pairs()
    lost = np.zeros(len(pairs.user), dtype=np.bool_) if pairs.liked is None else ~pairs.liked
    return pairs.user[lost], pairs.item[lost]


def _with_enough_rows(rows: _Sorted, protocol: Protocol) -> _Sorted:
    """Leave out users and items with too few rows, in turn, until all that are left have enough."""
    while len(rows.user):
        enough = np.bincount(rows.user)[rows.user] >= protocol.min_user_rows
        if protocol.duplicates == "keep" and protocol.held_out_items > 1:
            # Rows of one item alone do not make two held-out items.
            enough &= np.bincount(rows.user[rows.pair_starts()])[rows.user] >= protocol.held_out_items
        if protocol.min_item_rows > 1:
            enough &= np.bincount(rows.item)[rows.item] >= protocol.min_item_rows
        if enough.all():
            break
        rows = rows.where(enough)
    return rows


def _with_rows_before(rows: _Sorted, cut: int) -> _Sorted:
    """Leave out users and items all of whose rows come after the cut; rows before it all stay."""
    before = rows.time < cut
    users, items = (np.bincount(column[before], minlength=column.max() + 1) > 0 for column in (rows.user, rows.item))
    return rows.where(users[rows.user] & items[rows.item])


def _times(interactions: Interactions, ties: Ties) -> Int64s:
    """The rows' times in file order; where the file has none, all equal or the published FedRecGEL loader's draws."""
    if interactions.timestamp is not None:
        return interactions.timestamp
    rows = len(interactions)
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
    starts = run_starts(ordered)
    numbers = np.empty(len(groups), dtype=np.int64)
    numbers[order] = np.arange(len(groups)) - np.repeat(starts, np.diff(starts, append=len(groups)))
    return numbers


def _numbered_anew(index: Int64s, size: int) -> tuple[Int64s, Int64s]:
    """The distinct indices, ascending, and each entry's place among them."""
    present = np.zeros(size, dtype=np.bool_)
    present[index] = True
    if present.all():
        return np.arange(size), index
    places = np.cumsum(present) - 1
    return np.flatnonzero(present), places[index]


def _among_kept(pairs: tuple[Int64s, Int64s], rows: Rows) -> Int64s:
    """The pairs of kept users and items, numbered as the rows are, ``int64 [2, L]``."""
    kept = np.isin(pairs[0], rows.users) & np.isin(pairs[1], rows.items)
    columns = zip(pairs, (rows.users, rows.items), strict=True)
    return np.stack([np.searchsorted(ids, column[kept]) for column, ids in columns]).astype(np.int64)
