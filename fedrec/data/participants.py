"""Who takes part in a round: whom the server selects, and who of them arrives.

Both are functions of (seed, round, client) and of how many training rows clients have, never of earlier rounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fedrec.data.draws import Int64s, hash_u64, integers, uniform
from fedrec.errors import InputError


@dataclass(frozen=True)
class Availability:
    """How clients are selected, and what becomes of them.

    A client that fails or is late has received the broadcast, and that is all: its upload is lost, its private state is
    as it was, and the server's mean is over those who arrived. A round in which nobody arrives changes nothing.

    Attributes:
        cohort: How a round's clients are selected. ``uniform``: ``floor(client_fraction * U)`` of them, every selection
            equally likely. ``poisson``: each by a coin of its own that shows ``client_fraction``, as accountants of
            privacy assume; a round may have nobody. ``by_size``: as many as ``uniform``, each with a probability in
            proportion to its training rows (at most 1), so that an unweighted mean is one over rows, not clients.
        failure: Probability with which a selected client fails, from 0 to below 1.
        max_examples: The deadline, as a number of examples of a round (positives and negatives; local epochs do not
            count again): a client with more of them is late. None is cut short. Null: there is no deadline.
    """

    cohort: Literal["uniform", "poisson", "by_size"] = "uniform"
    failure: float = 0.0
    max_examples: int | None = None

    def __post_init__(self) -> None:
        if self.cohort not in ("uniform", "poisson", "by_size"):
            raise InputError(f"availability.cohort is {self.cohort!r}; expected 'uniform', 'poisson' or 'by_size'.")
        if not 0 <= self.failure < 1:
            raise InputError(f"availability.failure is {self.failure}; expected a probability from 0 to below 1.")
        if self.max_examples is not None and self.max_examples < 1:
            raise InputError(f"availability.max_examples is {self.max_examples}; expected at least 1, or null.")


@dataclass(frozen=True)
class Participants:
    """The clients of a round.

    Attributes:
        arrived: ``int64 [C]`` those whose uploads arrive, ascending.
        failed: How many failed.
        late: How many had more examples than the deadline allows; one that failed is not counted here.
        absent: ``int64 [A]`` the clients that failed or were late, ascending.
    """

    arrived: Int64s
    failed: int
    late: int
    absent: Int64s


def draw_participants(
    seed: int, round: int, rows: Int64s, fraction: float, per_row: int, availability: Availability
) -> Participants:
    """Draw the clients of a round.

    Args:
        seed: Training seed.
        round: Number of the round, from 0.
        rows: ``int64 [U]`` training rows of every client.
        fraction: Share of the clients that are selected, above 0 and at most 1.
        per_row: Examples for each row: the positive and its negatives.
        availability: How they are selected, and what becomes of them.

    Raises:
        InputError: The fraction is out of range or draws nobody.

    Example:
        >>> rows = np.array([9, 9, 9, 9, 200, 9, 9, 9])
        >>> draw_participants(0, 1, rows, 1.0, 5, Availability(failure=0.3, max_examples=500))
        Participants(arrived=array([1, 3, 5]), failed=4, late=1, absent=array([0, 2, 4, 6, 7]))
    """
    drawn = {"uniform": draw_clients, "poisson": _each_by_a_coin}.get(availability.cohort)
    selected = drawn(seed, round, len(rows), fraction) if drawn else _by_size(seed, round, rows, fraction)
    failed = np.zeros(len(selected), dtype=np.bool_)
    if availability.failure:
        failed = uniform(hash_u64(seed, "failure", round, selected)) < availability.failure
    arrived = selected[~failed]
    in_time = arrived[rows[arrived] * per_row <= _deadline(availability)]
    absent = np.setdiff1d(selected, in_time, assume_unique=True)
    return Participants(in_time, int(failed.sum()), len(arrived) - len(in_time), absent)


def draw_clients(seed: int, round: int, num_users: int, fraction: float) -> Int64s:
    """Draw ``floor(fraction * num_users)`` distinct clients, every selection equally likely.

    Which clients are drawn together follows from (seed, round) alone, so that a run that was cut off goes on with the
    cohorts it would have had.

    Args:
        seed: Training seed.
        round: Number of the round, from 0.
        num_users: Number of users U.
        fraction: Share of the users, above 0 and at most 1.

    Returns:
        ``int64 [C]``, ascending.

    Raises:
        InputError: The fraction is out of range or draws nobody.

    Example:
        >>> draw_clients(seed=0, round=7, num_users=50, fraction=0.1).tolist()
        [4, 6, 7, 28, 45]
    """
    count = num_clients(num_users, fraction)
    keys = hash_u64(seed, "clients", round, np.arange(num_users))
    return np.sort(np.argpartition(keys, count - 1)[:count]).astype(np.int64)


def num_clients(num_users: int, fraction: float) -> int:
    """How many clients a cohort of fixed size has: ``floor(fraction * num_users)``.

    Raises:
        InputError: The fraction is out of range or draws nobody.

    Example:
        >>> num_clients(100, 0.29)
        29
    """
    _require_share(fraction)
    # The tolerance is for products like 0.29 * 100, which floating point puts just below the whole number.
    count = math.floor(fraction * num_users + 1e-9)
    if count == 0:
        raise InputError(
            f"client_fraction is {fraction}, which draws nobody out of {num_users} users; "
            f"expected at least {math.ceil(1e6 / num_users) / 1e6}."
        )
    return count


def largest_cohort(rows: Int64s, fraction: float, per_row: int, availability: Availability) -> Int64s:
    """``int64 [C]`` training rows of the clients of the largest cohort there can be, ascending.

    A Poisson cohort of mean m is taken to have at most ``m + t`` clients with ``t = 10 sqrt(m) + 33``: by Bernstein's
    inequality more have a probability of ``exp(-t^2 / (2 m + 2 t / 3))``, below 1e-20.

    Args:
        rows: ``int64 [U]`` training rows of every client.
        fraction: Share of the clients that are selected.
        per_row: Examples for each row.
        availability: How they are selected, and what becomes of them.

    Raises:
        InputError: The fraction is out of range, or no round can have anybody.
    """
    in_time = np.sort(rows[rows * per_row <= _deadline(availability)])
    if not len(in_time):
        least = int(rows.min()) * per_row
        raise InputError(
            f"availability.max_examples is {availability.max_examples}, and every client has more examples in a round; "
            f"expected at least {least}, what the smallest has."
        )
    _require_share(fraction)
    if availability.cohort == "poisson":
        mean = fraction * len(rows)
        return in_time[-math.ceil(mean + 10 * math.sqrt(mean) + 33) :]
    return in_time[-num_clients(len(rows), fraction) :]


def expected_clients(num_users: int, fraction: float, availability: Availability) -> float:
    """How many clients a round selects on average.

    Example:
        >>> expected_clients(101, 0.1, Availability()), expected_clients(101, 0.5, Availability(cohort="poisson"))
        (10, 50.5)
    """
    return fraction * num_users if availability.cohort == "poisson" else num_clients(num_users, fraction)


def _require_share(fraction: float) -> None:
    if not 0 < fraction <= 1:
        raise InputError(f"client_fraction is {fraction}; expected a number above 0 and at most 1.")


def _deadline(availability: Availability) -> float:
    return math.inf if availability.max_examples is None else availability.max_examples


def _each_by_a_coin(seed: int, round: int, num_users: int, fraction: float) -> Int64s:
    _require_share(fraction)
    return np.flatnonzero(uniform(hash_u64(seed, "clients", round, np.arange(num_users))) < fraction)


def _by_size(seed: int, round: int, rows: Int64s, fraction: float) -> Int64s:
    """Systematic sampling in random order (Madow 1949; Hartley and Rao 1962): probabilities are exact, so is the size.

    The clients lie on a line in random order, each as long as it has rows. Points at equal distances, the first at
    random, select those on whom they fall; one longer than the distance is selected for certain, beforehand.
    """
    count = num_clients(len(rows), fraction)
    order = np.argsort(hash_u64(seed, "clients", round, np.arange(len(rows))))
    largest_first = order[np.argsort(-rows[order], kind="stable")]
    sizes = rows[largest_first[:count]]
    rest = int(rows.sum()) - np.cumsum(sizes) + sizes  # of a client and all that are smaller
    # With n clients certain, the others share count - n points: the next one is not longer than their distance.
    certain = int(np.argmax((count - np.arange(count)) * sizes <= rest))
    line = order[~np.isin(order, largest_first[:certain])]
    points, length = count - certain, int(rest[certain])
    first = integers(hash_u64(seed, "first point", round), length)
    # In whole numbers, the line stretched by the number of points: nothing is rounded.
    hit = np.searchsorted(np.cumsum(rows[line]) * points, first + length * np.arange(points), side="right")
    return np.sort(np.concatenate([largest_first[:certain], line[hit]]))
