"""Synthetic interactions: planted low-rank preferences, a few popular items and many rare ones, any size.

A user takes an item with probability ``p = mix @ taste``: every user mixes a few tastes, every taste is a distribution
over items, and all tastes lean to the same popular items. The matrix of probabilities has the rank that was asked for,
and no row of it is ever written down: drawing a taste, then an item of that taste, is one binary search each.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from fedrec.data.draws import Floats, Int64s, hash_u64, uniform
from fedrec.data.interactions import Interactions
from fedrec.data.sizes import require_memory
from fedrec.errors import InputError

FIRST_SECOND = 1_577_836_800  # 2020-01-01
SECONDS = 3 * 365 * 86_400
# Beyond this exponent one item has it all, and its probability is no number any more.
STEEPEST = 50
# Rows drawn at a time; the working arrays then take some 100 MB whatever the size asked for.
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
    """

    users: int = 500
    items: int = 400
    rows: int = 15_000
    rank: int = 8
    skew: float = 0.8
    focus: float = 2.0

    def __post_init__(self) -> None:
        for name, least in (("users", 2), ("items", 2), ("rank", 1)):
            if not getattr(self, name) >= least:
                raise InputError(f"plan.{name} is {getattr(self, name)}; expected at least {least}.")
        for name in ("skew", "focus"):
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
    mix, taste = _mixes(plan, seed), _tastes(plan, seed)
    wanted = _rows_per_user(plan, seed)
    pairs, missing = np.empty(0, dtype=np.int64), wanted
    for number in itertools.count():
        user = np.repeat(np.arange(plan.users), missing)
        drawn = np.empty_like(user)
        for start in range(0, len(user), _BLOCK):
            part = slice(start, start + _BLOCK)
            place = np.arange(start, start + len(user[part]))
            numbers = [uniform(hash_u64(seed, f"synthetic {what}", number, place)) for what in ("taste", "item")]
            if number < _PASSES:
                drawn[part] = _items(mix, taste, user[part], *numbers)
            else:
                drawn[part] = numbers[0] * plan.items
        pairs = _merged(pairs, user * plan.items + drawn)
        missing = wanted - np.bincount(pairs // plan.items, minlength=plan.users)
        if not missing.any():
            break
    user, item = np.divmod(pairs, plan.items)
    return Interactions(
        name="synthetic",
        user=user,
        item=item,
        timestamp=FIRST_SECOND + (uniform(hash_u64(seed, "synthetic time", pairs)) * SECONDS).astype(np.int64),
        user_ids=np.arange(plan.users),
        item_ids=np.arange(plan.items),
        source=f"synthetic data ({plan.users:,} users, {plan.items:,} items, {plan.rows:,} rows, seed {seed})",
        time_unit="s",
    )


def needed_bytes(plan: Plan) -> int:
    """Peak of memory that drawing takes, estimated: the tastes with their working arrays, and the rows with theirs."""
    return 32 * (plan.users + plan.items) * plan.rank + 72 * plan.rows


def _items(mix: Floats, taste: Floats, user: Int64s, first: Floats, second: Floats) -> Int64s:
    """Draw one item for every entry of ``user`` from two uniform numbers each: first a taste, then an item of it."""
    rank, num_items = taste.shape
    chosen = np.zeros(len(user), dtype=np.int64)
    for column in mix[:, :-1].T:
        chosen += first >= column[user]
    # One search for all: the distribution function of taste k runs from k to k + 1.
    place = np.searchsorted((taste + np.arange(rank)[:, None]).ravel(), chosen + second, side="right")
    return np.asarray(np.minimum(place - chosen * num_items, num_items - 1))


def _mixes(plan: Plan, seed: int) -> Floats:
    """Distribution function of every user over tastes, ``[U, rank]``."""
    user, taste = np.arange(plan.users)[:, None], np.arange(plan.rank)
    return _cumulative(np.exp(plan.focus * _normal(seed, "synthetic mix", user, taste)))


def _tastes(plan: Plan, seed: int) -> Floats:
    """Distribution function of every taste over items, ``[rank, I]``; which items are popular does not show in ids."""
    taste, item = np.arange(plan.rank)[:, None], np.arange(plan.items)
    place = np.argsort(np.argsort(hash_u64(seed, "synthetic popularity", item)))
    popularity = (1.0 + place) ** -plan.skew
    return _cumulative(popularity * np.exp(plan.focus * _normal(seed, "synthetic taste", taste, item)))


def _rows_per_user(plan: Plan, seed: int) -> Int64s:
    """``int64 [U]`` from 1 to half of the items, log-normal but for these limits, ``plan.rows`` in all."""
    activity = np.exp(_normal(seed, "synthetic activity", np.arange(plan.users), 0))
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
