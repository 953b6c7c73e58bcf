"""Synthetic interactions: sizes, skew, and the distribution that is planted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrec.data import synthetic as module
from fedrec.data.protocol.presets import PRESETS
from fedrec.data.protocol.split import split
from fedrec.data.synthetic import Plan, synthetic
from fedrec.errors import InputError
from fedrec.evaluation.baselines import most_popular


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    users, items = draw(st.integers(2, 30)), draw(st.integers(2, 40))
    rows = draw(st.integers(users, users * (items // 2)))
    skew, focus = draw(st.sampled_from([0.0, 0.8, 2.0])), draw(st.sampled_from([0.0, 1.0, 4.0]))
    return Plan(users, items, rows, draw(st.integers(1, 6)), skew, focus)


@given(plans(), st.integers(-5, 5))
@settings(max_examples=60, deadline=None)
def test_sizes_are_exact_and_pairs_distinct(plan: Plan, seed: int) -> None:
    made = synthetic(plan, seed)
    assert (len(made), made.num_users, made.num_items) == (plan.rows, plan.users, plan.items)
    assert len(set(zip(made.user.tolist(), made.item.tolist(), strict=True))) == plan.rows
    counts = np.bincount(made.user, minlength=plan.users)
    assert counts.min() >= 1
    assert counts.max() <= plan.items // 2
    assert made.timestamp is not None
    assert made.timestamp.min() >= 1_577_836_800  # 2020-01-01
    assert made.timestamp.max() < 1_577_836_800 + 3 * 365 * 86_400


def test_interactions_are_a_function_of_plan_and_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    first, other = synthetic(Plan(), 1), synthetic(Plan(), 2)
    monkeypatch.setattr(module, "_BLOCK", 1000)
    again = synthetic(Plan(), 1)
    for column in ("user", "item", "timestamp"):
        assert np.array_equal(getattr(first, column), getattr(again, column))
    assert not np.array_equal(first.item, other.item)


def test_without_spread_all_users_have_as_many_rows() -> None:
    made = synthetic(Plan(users=300, items=90, rows=9000, spread=0), 0)
    assert np.bincount(made.user).tolist() == [30] * 300


def test_skew_makes_a_few_items_popular_whatever_their_ids() -> None:
    shares, places = {}, {}
    for skew in (0.0, 1.2):
        counts = np.bincount(synthetic(Plan(skew=skew, focus=0), 0).item, minlength=400)
        shares[skew] = np.sort(counts)[::-1][:20].sum() / counts.sum()
        places[skew] = np.corrcoef(np.arange(400), counts)[0, 1]
    # 5 % of the items: with all items alike they get 5 % of the rows and a little, for they are the luckiest ones.
    assert 0.05 < shares[0.0] < 0.08
    assert shares[1.2] > 0.2
    # 0 but for chance: the standard error of a correlation of 400 numbers is 1 / sqrt(400) = 0.05.
    assert abs(places[1.2]) < 0.2


def test_items_are_drawn_from_the_users_mix_of_tastes() -> None:
    # Two users of a mix of three tastes over four items, each drawn for 30,000 times.
    mix = np.array([[0.7, 0.9, 1.0], [0.0, 0.5, 1.0]])
    taste = np.array([[0.1, 0.2, 0.3, 1.0], [0.25, 0.5, 0.75, 1.0], [0.9, 0.9, 0.9, 1.0]])
    user = np.repeat([0, 1], 30_000)
    rng = np.random.default_rng(0)
    drawn = module._items(mix, (taste + np.arange(3)[:, None]).ravel(), user, rng.random(60_000), rng.random(60_000))
    # Probabilities, from the steps of the distribution functions: p = mix @ taste.
    tastes = np.array([[0.1, 0.1, 0.1, 0.7], [0.25, 0.25, 0.25, 0.25], [0.9, 0.0, 0.0, 0.1]])
    expected = 30_000 * np.array([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5]]) @ tastes
    counts = np.stack([np.bincount(drawn[user == one], minlength=4) for one in (0, 1)])
    # Chi-square with 6 degrees of freedom: 22.5 is exceeded once in 1,000 seeds.
    assert ((counts - expected) ** 2 / expected).sum() < 22.5


def test_preferences_are_there_to_be_learned() -> None:
    # Ranking by the planted probabilities finds the held-out items far more often than ranking by popularity does.
    plan = Plan()
    made = split(synthetic(plan, 0), PRESETS["fair"], 0)
    tastes = module._tastes(plan, 0).reshape(plan.rank, -1) - np.arange(plan.rank)[:, None]
    functions = module._mixes(plan, 0, np.arange(plan.users)), tastes
    mix, taste = (np.diff(found, axis=1, prepend=0) for found in functions)
    assert np.linalg.matrix_rank(mix @ taste) == plan.rank
    planted = (mix @ taste)[made.user_ids.astype(np.int64)][:, made.item_ids.astype(np.int64)]
    items, candidates = made.held_out_items("test")
    users = np.arange(made.num_users)
    better = (planted[users[:, None], candidates] >= planted[users, items][:, None]).sum(axis=1)
    popular = most_popular(made, "test", 10).hr
    # 470 users: the standard error of either share is at most 0.5 / sqrt(470) = 0.023.
    assert np.mean(better < 10) > popular + 0.15


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"users": 1}, r"plan\.users is 1; expected at least 2"),
        ({"items": 1}, r"plan\.items is 1; expected at least 2"),
        ({"rank": 0}, r"plan\.rank is 0; expected at least 1"),
        ({"skew": -0.5}, r"plan\.skew is -0\.5; expected 0 to 50"),
        ({"skew": float("inf")}, r"plan\.skew is inf; expected 0 to 50"),
        ({"focus": float("nan")}, r"plan\.focus is nan; expected 0 to 50"),
        ({"focus": 1e308}, r"plan\.focus is 1e\+308; expected 0 to 50"),
        ({"rows": 499}, r"plan\.rows is 499; expected 500 to 100000"),
        ({"rows": 100_001}, r"plan\.rows is 100001; expected 500 to 100000: one to 200 rows for each of 500 users"),
    ],
)
def test_plans_that_cannot_be_are_errors(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Plan(**changed)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("skew", "focus"), [(50.0, 0.0), (0.0, 50.0), (50.0, 50.0)])
def test_the_steepest_plan_there_is_has_all_its_rows(skew: float, focus: float) -> None:
    for seed in range(5):
        made = synthetic(Plan(users=200, items=100, rows=4000, skew=skew, focus=focus), seed)
        assert len(np.unique(made.user * 100 + made.item)) == 4000
