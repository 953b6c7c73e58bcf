"""Clients alone find held-out items by chance, unless training tells them; and chance is what it is said to be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from fedrec.canary import canary, likely
from fedrec.data.protocol.presets import ProtocolOverrides, protocol_named
from fedrec.data.protocol.split import Split, split
from fedrec.data.relabelled import relabelled
from fedrec.data.synthetic import Plan, synthetic

DATA = synthetic(Plan(users=120, items=150, rows=3000), seed=1)


def made(protocol: str, **parts: object) -> Split:
    return split(DATA, protocol_named(protocol, ProtocolOverrides(candidates=30, **parts)), 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("protocol", ["fair", "fedrecgel", "temporal"])
def test_without_a_leak_it_is_chance(protocol: str) -> None:
    found = canary(made(protocol), rounds=6)
    assert [(one.stage, one.ranking) for one in found][-2:] == [("test", "sampled"), ("test", "full")]
    assert len(found) == (2 if protocol == "fedrecgel" else 4)
    assert not any(one.flagged for one in found)


def test_a_leak_is_found_in_both_rankings_of_both_held_out_items() -> None:
    found = canary(made("legacy-negatives"), rounds=6)
    assert [one.flagged for one in found] == [True] * 4
    assert all(one.hits > 2 * one.expected for one in found)


def test_a_leak_is_found_after_a_cut_too() -> None:
    assert any(one.flagged for one in canary(made("temporal", negatives_avoid="all", cut=0.5), rounds=6))


def test_chance_is_exact() -> None:
    mean, low, high = likely(np.full(400, 0.1), 0.01)
    exact = binom(400, 0.1)
    assert mean == pytest.approx(40)
    assert (low, high) == (exact.ppf(0.005), exact.isf(0.005))
    assert exact.cdf(low - 1) + exact.sf(high) <= 0.01
    mixed = np.r_[np.ones(7), np.full(50, 0.2)]  # seven hits are certain
    mean, low, high = likely(mixed, 0.01)
    assert mean == pytest.approx(17)
    assert (low - 7, high - 7) == (binom(50, 0.2).ppf(0.005), binom(50, 0.2).isf(0.005))


@pytest.mark.parametrize("protocol", ["fair", "fedrecgel", "temporal"])
def test_numbers_of_their_own_change_nothing_within_a_user(protocol: str) -> None:
    whole = made(protocol)
    users = whole.evaluated[3:9]
    own = relabelled(whole, users, seed=0)
    assert own.num_users == len(users) == len(own.evaluated)
    for place, user in enumerate(users.tolist()):
        pairs: dict[int, int] = {}

        def same(mine: np.ndarray, theirs: np.ndarray, pairs: dict[int, int] = pairs) -> None:
            assert len(mine) == len(theirs)
            for one, other in zip(mine.tolist(), theirs.tolist(), strict=True):
                assert pairs.setdefault(one, other) == other

        same(own.candidates_test[place], whole.candidates_test[whole.evaluated == user][0])
        same(own.test[[place]], whole.test[[user]])
        if own.candidates_validation is not None and whole.candidates_validation is not None:
            same(own.candidates_validation[place], whole.candidates_validation[whole.evaluated == user][0])
            same(own.validation[[place]], whole.validation[[user]])
        assert len(set(pairs.values())) == len(pairs)
        for sets, others in ((own.touched, whole.touched), (own.train_sets, whole.train_sets)):
            mine = set(sets.items[sets.indptr[place] : sets.indptr[place + 1]].tolist())
            theirs = set(others.items[others.indptr[user] : others.indptr[user + 1]].tolist())
            assert len(mine) == len(theirs)
            assert all((one in mine) == (other in theirs) for one, other in pairs.items())
    rows = np.diff(whole.train_indptr)[users]
    assert np.diff(own.train_indptr).tolist() == rows.tolist()


def test_numbers_of_their_own_are_uniform_and_independent() -> None:
    """The item that everybody holds out gets a number of its own with each user: over 120 users few share one."""
    whole = made("fair")
    everybody = replace(whole, test=np.full(whole.num_users, whole.test[0]))
    own = relabelled(everybody, everybody.evaluated, seed=0)
    assert len(set(own.test.tolist())) > 60
