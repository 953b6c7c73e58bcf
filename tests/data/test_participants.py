"""Who takes part in a round: exact probabilities, independence of everybody else, and of earlier rounds.

Bounds on shares of n independent coins are Hoeffding's: the share is further than t from its mean with a probability of
at most ``2 exp(-2 n t^2)``; :func:`within` gives the t at which that is 1e-9.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrec.data.draws import Int64s, hash_u64, integers
from fedrec.data.participants import (
    Availability,
    draw_clients,
    draw_participants,
    largest_cohort,
    num_clients,
)

ROWS = np.array([3, 5, 5, 8, 1, 40, 9, 13, 2, 2, 60, 7, 7, 20, 4, 11])
USERS = len(ROWS)
ROUNDS = 3000


def within(coins: int) -> float:
    return math.sqrt(math.log(2 / 1e-9) / (2 * coins))


def arrived(round: int, fraction: float, availability: Availability, seed: int = 5, rows: Int64s = ROWS) -> list[int]:
    found: list[int] = draw_participants(seed, round, rows, fraction, 5, availability).arrived.tolist()
    return found


def presence(
    fraction: float, availability: Availability, rounds: int = ROUNDS
) -> np.ndarray[tuple[int, int], np.dtype]:
    """Which of the clients arrive in each round, ``bool [rounds, U]``."""
    present = np.zeros((ROUNDS, USERS), dtype=np.bool_)
    for number in range(ROUNDS):
        present[number, arrived(number, fraction, availability)] = True
    return present


def test_without_failures_and_deadline_the_clients_are_those_drawn() -> None:
    for number in range(20):
        assert arrived(number, 0.4, Availability()) == draw_clients(5, number, USERS, 0.4).tolist()


@pytest.mark.parametrize("cohort", ["uniform", "poisson", "by_size"])
def test_a_round_is_a_function_of_seed_and_number(cohort: str) -> None:
    availability = Availability(cohort, failure=0.3)  # type: ignore[arg-type]
    rounds = [arrived(number, 0.5, availability) for number in range(50)]
    assert [arrived(number, 0.5, availability) for number in reversed(range(50))] == rounds[::-1]
    assert [arrived(number, 0.5, availability, seed=6) for number in range(50)] != rounds
    assert len({tuple(clients) for clients in rounds}) > 40


@pytest.mark.parametrize("cohort", ["uniform", "poisson", "by_size"])
def test_whether_a_client_fails_is_its_own_matter_whoever_else_is_selected(cohort: str) -> None:
    for number in range(30):
        up = set(arrived(number, 1.0, Availability(failure=0.3)))
        selected = set(arrived(number, 0.5, Availability(cohort)))  # type: ignore[arg-type]
        found = draw_participants(5, number, ROWS, 0.5, 5, Availability(cohort, failure=0.3))  # type: ignore[arg-type]
        assert set(found.arrived.tolist()) == selected & up
        assert found.failed == len(selected - up)


def test_every_client_fails_as_often_as_it_should() -> None:
    present = presence(1.0, Availability(failure=0.3))
    assert np.abs(present.mean(0) - 0.7).max() < within(ROUNDS)
    assert abs(present.mean() - 0.7) < within(ROUNDS * USERS)
    # And independently: two clients arrive together in a share of 0.49 of the rounds.
    together = (present[:, :, None] & present[:, None]).mean(0)[np.triu_indices(USERS, 1)]
    assert np.abs(together - 0.49).max() < within(ROUNDS)


def test_failures_take_all_clients_alike_from_a_cohort_of_fixed_size() -> None:
    """Uniform cohorts of 6 of 16, failures of 0.3: every client arrives in a share of 6 / 16 x 0.7 of the rounds."""
    present = presence(0.4, Availability(failure=0.3))
    assert np.abs(present.mean(0) - 6 / 16 * 0.7).max() < within(ROUNDS)


def test_poisson_cohorts_have_the_mean_and_the_variance_of_independent_coins() -> None:
    users, fraction, rounds = 400, 0.05, 3000
    rows = np.ones(users, dtype=np.int64)
    sizes = np.array([len(arrived(number, fraction, Availability("poisson"), rows=rows)) for number in range(rounds)])
    variance = users * fraction * (1 - fraction)
    assert abs(sizes.mean() / users - fraction) < within(rounds * users)
    # The fourth central moment of a binomial is v (1 + 3 (U - 2) q (1 - q)) with variance v; squared deviations from
    # the known mean are independent, so their mean has the variance (fourth - v^2) / rounds. Six standard errors.
    fourth = variance * (1 + 3 * (users - 2) * fraction * (1 - fraction))
    found = ((sizes - users * fraction) ** 2).mean()
    assert abs(found - variance) < 6 * math.sqrt((fourth - variance**2) / rounds)


def test_a_poisson_round_may_have_nobody() -> None:
    found = [len(arrived(number, 0.02, Availability("poisson"))) for number in range(200)]
    assert 0 in found
    assert max(found) > 0
    everybody = arrived(0, 1.0, Availability("poisson"))
    assert everybody == list(range(USERS))


def slow_probabilities(rows: Int64s, count: int) -> list[float]:
    """In proportion to rows, none above 1: whoever would be above 1 is certain, and the others share what is left."""
    certain: set[int] = set()
    while True:
        rest = sum(int(rows[user]) for user in range(len(rows)) if user not in certain)
        share = {user: (count - len(certain)) * rows[user] / rest for user in range(len(rows)) if user not in certain}
        above = {user for user, probability in share.items() if probability > 1}
        if not above:
            return [share.get(user, 1.0) for user in range(len(rows))]
        certain |= above


@pytest.mark.parametrize("fraction", [0.07, 0.25, 0.5, 0.9, 1.0])
def test_clients_are_selected_in_proportion_to_their_rows(fraction: float) -> None:
    present = presence(fraction, Availability("by_size"))
    count = num_clients(USERS, fraction)
    assert (present.sum(1) == count).all()
    expected = np.array(slow_probabilities(ROWS, count))
    assert expected.sum() == pytest.approx(count)
    assert np.abs(present.mean(0) - expected).max() < within(ROUNDS)
    assert present[:, expected > 1 - 1e-9].all()


@given(st.lists(st.integers(1, 30), min_size=2, max_size=12), st.integers(0, 50), st.data())
@settings(max_examples=150, deadline=None)
def test_points_on_a_line_select_by_size(sizes: list[int], number: int, data: st.DataObject) -> None:
    """One client after another, in whole numbers."""
    count = data.draw(st.integers(1, len(sizes)))
    rows = np.array(sizes)
    order = np.argsort(hash_u64(5, "clients", number, np.arange(len(rows)))).tolist()
    chosen: list[int] = []
    line, points = list(order), count
    while points:
        largest = max(line, key=lambda user: rows[user])  # of equals, the first on the line
        length = sum(sizes[user] for user in line)
        if points * sizes[largest] <= length:
            break
        chosen.append(largest)
        line.remove(largest)
        points -= 1
    if points:
        position, point = 0, int(integers(hash_u64(5, "first point", number), length))
        for user in line:
            position += points * sizes[user]
            if point < position:
                chosen.append(user)
                point += length
    assert arrived(number, min(1.0, (count + 0.5) / len(rows)), Availability("by_size"), rows=rows) == sorted(chosen)


def test_who_has_more_examples_than_the_deadline_allows_is_late() -> None:
    found = draw_participants(5, 0, ROWS, 1.0, 5, Availability(max_examples=40))
    assert found.arrived.tolist() == np.flatnonzero(ROWS * 5 <= 40).tolist()
    assert (found.failed, found.late) == (0, int((ROWS > 8).sum()))
    both = draw_participants(5, 0, ROWS, 1.0, 5, Availability(failure=0.5, max_examples=40))
    assert len(both.arrived) + both.failed + both.late == USERS
    assert both.failed > 0
    assert both.late > 0


def test_no_cohort_is_larger_than_what_memory_is_asked_for() -> None:
    for availability in (
        Availability(),
        Availability("by_size"),
        Availability("poisson"),
        Availability("uniform", 0.2),
    ):
        largest = largest_cohort(ROWS, 0.5, 5, availability)
        for number in range(200):
            clients = arrived(number, 0.5, availability)
            assert ROWS[clients].sum() <= largest.sum()
    assert largest_cohort(ROWS, 0.5, 5, Availability(max_examples=40)).tolist() == [2, 3, 4, 5, 5, 7, 7, 8]
    crowd = np.ones(10**6, dtype=np.int64)
    assert 10_000 + 6 * 100 < len(largest_cohort(crowd, 0.01, 5, Availability("poisson"))) < 10_000 + 11 * 100
