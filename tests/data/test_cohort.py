"""Cohorts: exact negatives, uniform draws, and independence of everybody else."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fedrec.data import cohort as cohort_module
from fedrec.data.cohort import Cohort, draw_cohort, everybody
from fedrec.data.interactions import Interactions
from fedrec.data.participants import draw_clients
from fedrec.data.protocol.presets import PRESETS
from fedrec.data.protocol.split import Split, split
from fedrec.errors import InputError
from tests.data.build import interactions, others, random_interactions

SMALL = {name: replace(protocol, candidates=1) for name, protocol in PRESETS.items()}


def examples(cohort: Cohort, client: int, epoch: int = 0) -> list[int]:
    """The items of one client of the cohort, in order."""
    place = cohort.clients.tolist().index(client)
    own = slice(int(cohort.offsets[place]), int(cohort.offsets[place + 1]))
    items: list[int] = cohort.items[epoch, own].tolist()
    return items


def train_rows(splitted: Split, user: int) -> list[int]:
    rows: list[int] = splitted.train_item[splitted.train_indptr[user] : splitted.train_indptr[user + 1]].tolist()
    return rows


def avoided(splitted: Split, user: int) -> set[int]:
    sets = splitted.negatives_avoid
    return set(sets.items[sets.indptr[user] : sets.indptr[user + 1]].tolist())


@given(
    random_interactions(),
    st.sampled_from(sorted(SMALL)),
    st.integers(-3, 3),
    st.integers(0, 5),
    st.sampled_from([0.3, 0.5, 1.0]),
    st.integers(0, 4),
    st.integers(1, 3),
)
@settings(max_examples=100, deadline=None)
def test_examples_are_the_training_rows_each_followed_by_exact_negatives(
    data: Interactions, name: str, seed: int, round: int, fraction: float, negatives: int, epochs: int
) -> None:
    try:
        splitted = split(data, SMALL[name], 0)
        cohort = draw_cohort(splitted, seed, round, fraction, negatives, epochs)
    except InputError:
        assume(False)
    count = int(fraction * splitted.num_users)
    assert cohort.clients.tolist() == draw_clients(seed, round, splitted.num_users, fraction).tolist()
    assert len(cohort.clients) == count
    assert len(cohort.offsets) == count + 1
    assert cohort.items.shape == (epochs, int(cohort.offsets[-1]))
    assert (cohort.labels.reshape(-1, 1 + negatives) == torch.eye(1 + negatives)[0]).all()
    for client in cohort.clients.tolist():
        forbidden = avoided(splitted, client)
        first = np.array(examples(cohort, client)).reshape(-1, 1 + negatives)[:, 0].tolist()
        assert Counter(first) == Counter(train_rows(splitted, client))
        for epoch in range(epochs):
            table = np.array(examples(cohort, client, epoch)).reshape(-1, 1 + negatives)
            assert table[:, 0].tolist() == first
            for drawn in table[:, 1:].tolist():
                assert len(set(drawn)) == negatives
                assert not set(drawn) & forbidden
                assert set(drawn) <= set(range(splitted.num_items))


@pytest.fixture(scope="module")
def crowd() -> Split:
    """50 users with 6 to 25 of 60 items, under ``fair``."""
    rng = np.random.default_rng(0)
    rows = [(user, int(item), 0) for user in range(50) for item in rng.permutation(60)[: 6 + user % 20]]
    return split(interactions(rows), SMALL["fair"], 0)


def test_a_clients_examples_do_not_depend_on_who_else_is_drawn(crowd: Split) -> None:
    everybody, some = draw_cohort(crowd, 3, 7, 1.0), draw_cohort(crowd, 3, 7, 0.3)
    assert len(some.clients) == 15
    for client in some.clients.tolist():
        assert examples(some, client) == examples(everybody, client)


def test_clients_with_the_same_rows_draw_differently() -> None:
    rows = [(user, item, 0) for user in range(40) for item in range(8)] + others(40, range(8, 60))
    splitted = split(interactions(rows), replace(SMALL["fair"], ties="lowest_item"), 0)
    cohort = draw_cohort(splitted, 0, 0, 1.0)
    tables = [np.array(examples(cohort, client)).reshape(-1, 5) for client in range(40)]
    assert len({tuple(table[:, 1:].ravel().tolist()) for table in tables}) == 40
    # 6 positives have 720 orders: 40 clients share none or few.
    assert len({tuple(table[:, 0].tolist()) for table in tables}) > 30


@pytest.mark.parametrize("block", [1, 7, 64])
def test_cohorts_do_not_depend_on_the_block(crowd: Split, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = draw_cohort(crowd, 3, 7, 0.5, epochs=2)
    monkeypatch.setattr(cohort_module, "_BLOCK", block)
    assert torch.equal(draw_cohort(crowd, 3, 7, 0.5, epochs=2).items, whole.items)


def test_seed_round_and_epoch_change_the_draw_and_nothing_else_does(crowd: Split) -> None:
    cohort = draw_cohort(crowd, 3, 7, 0.5, epochs=2)
    again = draw_cohort(crowd, 3, 7, 0.5, epochs=2)
    assert torch.equal(cohort.items, again.items)
    assert torch.equal(cohort.clients, again.clients)
    assert torch.equal(cohort.items[:1], draw_cohort(crowd, 3, 7, 0.5).items)
    assert not torch.equal(cohort.items[0], cohort.items[1])
    everybody = draw_cohort(crowd, 3, 7, 1.0).items
    assert not torch.equal(everybody, draw_cohort(crowd, 3, 8, 1.0).items)
    assert not torch.equal(everybody, draw_cohort(crowd, 4, 7, 1.0).items)


def test_a_user_who_has_seen_all_but_four_items_gets_these_four() -> None:
    # User 0 trains on 36 of 40 items: everything but its two held-out items and two it never touched.
    rows = [(0, item, item) for item in range(38)] + others(1, range(40))
    splitted = split(interactions(rows), SMALL["fair"], 0)
    cohort = draw_cohort(splitted, 0, 0, 1.0)
    table = np.array(examples(cohort, 0)).reshape(-1, 5)
    assert (np.sort(table[:, 1:], axis=1) == [36, 37, 38, 39]).all()
    assert sorted(table[:, 0].tolist()) == list(range(36))


def test_negatives_are_uniform_among_the_items_outside() -> None:
    # One user trains on items 3, 4, 5, 12, 30 of 40 and draws 4 of the other 35, for each of 5 positives in 700 rounds:
    # 14,000 negatives, 400 expected of each item.
    rows = [(0, item, time) for time, item in enumerate((3, 4, 5, 12, 30, 7, 8))] + others(1, range(40))
    splitted = split(interactions(rows), SMALL["fair"], 0)
    tables = [np.array(examples(draw_cohort(splitted, 1, round, 1.0), 0)).reshape(-1, 5) for round in range(700)]
    counts = np.bincount(np.concatenate([table[:, 1:].ravel() for table in tables]), minlength=40)
    assert counts[[3, 4, 5, 12, 30]].tolist() == [0] * 5
    counts = np.delete(counts, [3, 4, 5, 12, 30])
    # Chi-square with 34 degrees of freedom: 65.2 is exceeded less than once in 1,000 seeds.
    assert ((counts - 400) ** 2 / 400).sum() < 65.2
    # The positives stand in random order: each of the five comes first 140 times.
    counts = np.bincount([table[0, 0] for table in tables], minlength=40)[[3, 4, 5, 12, 30]]
    # Chi-square with 4 degrees of freedom: 18.5 is exceeded once in 1,000 seeds.
    assert ((counts - 140) ** 2 / 140).sum() < 18.5


def test_every_pair_of_clients_is_drawn_equally_often() -> None:
    # 2 of 6 users: 15 pairs, 3,000 rounds, 200 expected each.
    counts = Counter(tuple(draw_clients(5, round, 6, 1 / 3).tolist()) for round in range(3000))
    assert len(counts) == 15
    assert all(first < second for first, second in counts)
    # Chi-square with 14 degrees of freedom: 36.1 is exceeded once in 1,000 seeds.
    assert sum((count - 200) ** 2 / 200 for count in counts.values()) < 36.1


@pytest.mark.parametrize(
    ("users", "fraction", "count"), [(1227, 0.1, 122), (943, 1.0, 943), (100, 0.29, 29), (10, 0.7, 7), (3, 0.34, 1)]
)
def test_number_of_clients_is_the_floor(users: int, fraction: float, count: int) -> None:
    assert len(draw_clients(0, 0, users, fraction)) == count


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.5, float("nan")])
def test_a_fraction_out_of_range_is_an_error(fraction: float) -> None:
    with pytest.raises(InputError, match=r"client_fraction is .*; expected a number above 0 and at most 1"):
        draw_clients(0, 0, 10, fraction)


def test_a_fraction_that_draws_nobody_is_an_error_that_names_the_least() -> None:
    with pytest.raises(InputError, match=r"client_fraction is 0\.1, which draws nobody out of 7 users.*0\.142858"):
        draw_clients(0, 0, 7, 0.1)
    assert len(draw_clients(0, 0, 7, 0.142858)) == 1


def test_too_few_possible_negatives_name_the_user() -> None:
    rows = [(0, item, item) for item in range(38)] + others(1, range(40))
    splitted = split(interactions(rows), SMALL["fair"], 0)
    message = r"tiny\.csv: user 0 has 4 possible negatives among 40 items, fewer than the 5 asked for"
    with pytest.raises(InputError, match=message):
        draw_cohort(splitted, 0, 0, 0.4, negatives=5)


@pytest.mark.parametrize(("negatives", "epochs", "message"), [(-1, 1, "negatives is -1"), (4, 0, "epochs is 0")])
def test_counts_out_of_range_are_errors(crowd: Split, negatives: int, epochs: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw_cohort(crowd, 0, 0, 1.0, negatives, epochs)


def test_everybody_has_every_training_row_and_no_other(crowd: Split) -> None:
    cohort = everybody(crowd)
    assert cohort.clients.tolist() == list(range(crowd.num_users))
    assert (cohort.labels == 1).all()
    assert all(examples(cohort, user) == train_rows(crowd, user) for user in range(crowd.num_users))
