"""Synthetic interactions: planted low-rank preferences, a few popular items and many rare ones, any size.

A user takes an item with probability ``p = mix @ taste``: every user mixes a few tastes, every taste is a distribution
over items, and all tastes lean to the same popular items. The matrix of probabilities has the rank that was asked for,
and no row of it is ever written down: drawing a taste, then an item of that taste, is one binary search each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fedrec.data.draws import Floats, Int64s, hash_u64, uniform
from fedrec.data.interactions import Interactions
from fedrec.data.sizes import require_memory
from fedrec.errors import InputError

FIRST_SECOND = 1_577_836_800  # 2020-01-01
SECONDS = 3 * 365 * 86_400
# Beyond this exponent one item has it all, and its probability is no number any more.
STEEPEST = 50
# Rows drawn at a time; the working arrays then take some 100 MB, unless one user has more.
_BLOCK = 2**20
# Passes with the planted preferences before what is missing is drawn uniformly.
_PASSES = 8


@dataclass(frozen=True)
class Plan:
    """Size and shape of synthetic interactions.

    Attributes:
        users: Number of users U, at least 2.
        items: Number of items I, at least 2.
        rows: Number of rows N, all pairs distinct; at least one and at most half of all items for every user.
        rank: Number of tastes.
        skew: Zipf exponent of the items' popularity, at most 50; 0 makes all alike.
        focus: How much a user's tastes and a taste's items differ, at most 50; 0 leaves nothing but popularity.
        spread: How much users differ in their number of rows (standard deviation of its logarithm), at most 50; 0 gives
            all alike.
    """

    users: int = 500
    items: int = 400
    rows: int = 15_000
    rank: int = 8
    skew: float = 0.8
    focus: float = 2.0
    spread: float = 1.0

    def __post_init__(self) -> None:
        for name, least in (("users", 2), ("items", 2), ("rank", 1)):
            if not getattr(self, name) >= least:
                raise InputError(f"plan.{name} is {getattr(self, name)}; expected at least {least}.")
        for name in ("skew", "focus", "spread"):
            if not 0 <= getattr(self, name) <= STEEPEST:
                raise InputError(f"plan.{name} is {getattr(self, name)}; expected 0 to {STEEPEST}.")
        if not self.users <= self.rows <= self.users * (self.items // 2):
            raise InputError(
                f"plan.rows is {self.rows}; expected {self.users} to {self.users * (self.items // 2)}: one to "
                f"{self.items // 2} rows for each of {self.users} users."
            )


def synthetic(plan: Plan, seed: int) -> Interactions:
    """Draw interactions; a function of plan and seed.

    Rows stand by user and item, timestamps in seconds are uniform over three years. An item that a user has already is
    drawn again; what is still missing after a few passes, from users with long histories, is drawn uniformly.

    Raises:
        InputError: The machine's memory does not hold what the plan asks for.

    Example:
        >>> synthetic(Plan(users=100, items=50, rows=1000), seed=0).counts
        Counts(users=100, items=50, rows=1000)
    """
    require_memory(
        needed_bytes(plan),
        f"Synthetic data of {plan.users:,} users, {plan.items:,} items, {plan.rows:,} rows and rank {plan.rank:,}",
        "plan.users, plan.items, plan.rows or plan.rank",
    )
    wanted, tastes = _rows_per_user(plan, seed), _tastes(plan, seed)
    user, item, timestamp = (np.empty(plan.rows, dtype=np.int64) for _ in range(3))
    drawn: list[int] = []
    for first, stop, rows in _blocks(wanted):
        pairs = _pairs(plan, seed, np.arange(first, stop), wanted[first:stop], tastes, drawn)
        user[rows], item[rows] = np.divmod(pairs, plan.items)
        timestamp[rows] = FIRST_SECOND + (uniform(hash_u64(seed, "synthetic time", pairs)) * SECONDS).astype(np.int64)
    return Interactions(
        name="synthetic",
        user=user,
        item=item,
        timestamp=timestamp,
        user_ids=np.arange(plan.users),
        item_ids=np.arange(plan.items),
        source=f"synthetic data ({plan.users:,} users, {plan.items:,} items, {plan.rows:,} rows, seed {seed})",
        time_unit="s",
    )


def needed_bytes(plan: Plan) -> int:
    """Peak of memory that drawing takes, estimated: the tastes, the rows, and a block of users with its rows."""
    block = min(plan.users, _BLOCK)
    return 32 * (block + plan.items) * plan.rank + 24 * plan.rows + 60 * min(plan.rows, 2 * _BLOCK) + 16 * plan.users


def _blocks(wanted: Int64s) -> Iterator[tuple[int, int, slice]]:
    """Users ``first`` to below ``stop`` whose rows, some ``_BLOCK``, are drawn together, and where these stand."""
    ends = np.cumsum(wanted)
    bounds = [0, *(np.unique(np.searchsorted(ends, np.arange(_BLOCK, ends[-1], _BLOCK))) + 1).tolist(), len(wanted)]
    for first, stop in pairwise(dict.fromkeys(bounds)):
        yield first, stop, slice(int(ends[first] - wanted[first]), int(ends[stop - 1]))


def _pairs(plan: Plan, seed: int, users: Int64s, wanted: Int64s, tastes: Floats, drawn: list[int]) -> Int64s:
    """``user * I + item`` of the rows of some users, ascending.

    Args:
        plan: Size and shape.
        seed: Seed.
        users: ``int64 [B]`` the users, one after another.
        wanted: ``int64 [B]`` how many items each takes.
        tastes: See :func:`_tastes`.
        drawn: How many items were drawn in each pass for the users before; these are added.
    """
    mix, pairs, missing = _mixes(plan, seed, users), np.empty(0, dtype=np.int64), wanted
    number = 0
    while missing.any():
        drawn += [0] * (number == len(drawn))
        owner = np.repeat(np.arange(len(users)), missing)
        place = drawn[number] + np.arange(len(owner))
        drawn[number] += len(owner)
        numbers = [uniform(hash_u64(seed, f"synthetic {what}", number, place)) for what in ("taste", "item")]
        planted = number < _PASSES
        items = _items(mix, tastes, owner, *numbers) if planted else (numbers[0] * plan.items).astype(np.int64)
        pairs = _merged(pairs, users[owner] * plan.items + items)
        missing = wanted - np.bincount(pairs // plan.items - users[0], minlength=len(users))
        number += 1
    return pairs


def _items(mix: Floats, tastes: Floats, owner: Int64s, first: Floats, second: Floats) -> Int64s:
    """Draw one item for every entry of ``owner`` from two uniform numbers each: first a taste, then an item of it."""
    rank = mix.shape[1]
    num_items = len(tastes) // rank
    chosen = np.zeros(len(owner), dtype=np.int64)
    for column in mix[:, :-1].T:
        chosen += first >= column[owner]
    place = np.searchsorted(tastes, chosen + second, side="right")
    return np.asarray(np.minimum(place - chosen * num_items, num_items - 1))


def _mixes(plan: Plan, seed: int, users: Int64s) -> Floats:
    """Distribution function of each of B users over tastes, ``[B, rank]``."""
    return _cumulative(np.exp(plan.focus * _normal(seed, "synthetic mix", users[:, None], np.arange(plan.rank))))


def _tastes(plan: Plan, seed: int) -> Floats:
    """Distribution functions of all tastes over items, ``[rank * I]``: that of taste k runs from k to k + 1.

    One search finds items of all of them. Which items are popular does not show in ids.
    """
    taste, item = np.arange(plan.rank)[:, None], np.arange(plan.items)
    place = np.argsort(np.argsort(hash_u64(seed, "synthetic popularity", item)))
    popularity = (1.0 + place) ** -plan.skew
    own = _cumulative(popularity * np.exp(plan.focus * _normal(seed, "synthetic taste", taste, item)))
    return (own + taste).ravel()


def _rows_per_user(plan: Plan, seed: int) -> Int64s:
    """``int64 [U]`` from 1 to half of the items, log-normal but for these limits, ``plan.rows`` in all."""
    activity = np.exp(plan.spread * _normal(seed, "synthetic activity", np.arange(plan.users), 0))
    rows = 1 + _shares((1 + 16 * activity).astype(np.int64), plan.rows - plan.users)
    over = np.maximum(rows - plan.items // 2, 0)
    rows -= over
    return rows + _shares(plan.items // 2 - rows, int(over.sum()))


def _shares(weights: Int64s, total: int) -> Int64s:
    """Whole numbers in proportion to weights that sum to ``total``; none above its weight if the total is not."""
    ends = np.cumsum(weights)
    return np.asarray(np.diff(ends * total // max(ends[-1], 1), prepend=0))


def _merged(pairs: Int64s, more: Int64s) -> Int64s:
    """The distinct numbers of two arrays, ascending; the first is so already."""
    # Not np.unique, whose hash table is several times slower than sorting here.
    more = np.sort(more)
    more = more[np.diff(more, prepend=-1) > 0]
    if len(pairs):
        places = np.minimum(np.searchsorted(pairs, more), len(pairs) - 1)
        more = more[pairs[places] != more]
    return np.sort(np.concatenate([pairs, more]), kind="stable")


def _cumulative(weights: Floats) -> Floats:
    """Distribution functions of rows of weights; the last entry of each is 1."""
    totals = np.cumsum(weights, axis=1)
    return np.asarray(totals / totals[:, -1:])


def _normal(seed: int, purpose: str, *counters: Int64s | int) -> Floats:
    """Standard normal numbers by Box and Muller's transform."""
    radius = np.sqrt(-2 * np.log1p(-uniform(hash_u64(seed, purpose, *counters, 0))))
    return np.asarray(radius * np.cos(2 * np.pi * uniform(hash_u64(seed, purpose, *counters, 1))))
