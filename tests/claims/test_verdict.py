"""The verdicts, case by case, and the interval that they rest on."""

from __future__ import annotations

import numpy as np
import pytest

from fedrec.claims.estimate import over_users_and_seeds, p_value
from fedrec.claims.verdict import VERDICTS, Asserted, Evidence, Interval, verdict

ABOVE, EQUAL = Interval(0.05, 0.02), Interval(0.01, 0.02)  # the method minus most popular items
VALUE = Asserted(value=0.80, tolerance=0.02)


def figure(
    mean: float, half: float = 0.01, over: Interval = ABOVE, repeat: Interval | None = None, leaks: bool = False
):  # type: ignore[no-untyped-def]
    return Evidence(Interval(mean, half), over_popular=over, over_repeat=repeat, leaks=leaks)


def difference(low: float, high: float, over: Interval = ABOVE, leaks: bool = False) -> Evidence:
    mean = 0.0 if low == -high else (low + high) / 2
    return Evidence(Interval(0.8, 0.01), Interval(mean, (high - low) / 2), over, leaks=leaks)


INF = float("inf")
A_AND_B, BY, COST = Asserted(), Asserted(by=0.03, tolerance=0.005), Asserted(cost=True)
CASES = {
    "figure within the tolerance": (VALUE, figure(0.79), figure(0.5), "reproduced"),
    "figure beyond interval and tolerance": (VALUE, figure(0.76), figure(0.76), "not reproduced"),
    "figure above interval and tolerance": (VALUE, figure(0.84), figure(0.84), "not reproduced"),
    "interval wider than the tolerance": (VALUE, figure(0.75, 0.04), None, "cannot be shown by this measurement"),
    "no better than most popular": (VALUE, figure(0.80, over=EQUAL), None, "explained by popularity"),
    "below most popular": (VALUE, figure(0.80, over=Interval(-0.1, 0.01)), None, "explained by popularity"),
    "repeat reaches as much": (VALUE, figure(0.80, repeat=EQUAL), None, "explained by repeats"),
    "repeat stays below": (VALUE, figure(0.80, repeat=ABOVE), None, "reproduced"),
    "popularity before repeats": (VALUE, figure(0.80, over=EQUAL, repeat=EQUAL), None, "explained by popularity"),
    "nobody knows how far above popular": (
        VALUE,
        figure(0.80, over=Interval(0.04, INF)),
        None,
        "cannot be shown by this measurement",
    ),
    "nobody knows how far above repeats": (
        VALUE,
        figure(0.80, repeat=Interval(0.04, INF)),
        None,
        "cannot be shown by this measurement",
    ),
    "open without the leak": (
        VALUE,
        figure(0.80, leaks=True),
        figure(0.75, 0.04),
        "cannot be shown by this measurement",
    ),
    "higher without the leak": (VALUE, figure(0.80, leaks=True), figure(0.9), "reproduced"),
    "a difference that is open without the leak": (
        BY,
        difference(0.02, 0.04, leaks=True),
        difference(-0.01, 0.05),
        "cannot be shown by this measurement",
    ),
    "a difference that is smaller without the leak": (
        BY,
        difference(0.02, 0.04, leaks=True),
        difference(0.01, 0.02),
        "explained by the leak",
    ),
    "gone without the leak": (VALUE, figure(0.80, leaks=True), figure(0.5), "explained by the leak"),
    "there without the leak": (VALUE, figure(0.80, leaks=True), figure(0.79), "reproduced"),
    "leak before popularity": (VALUE, figure(0.80, over=EQUAL, leaks=True), figure(0.5), "explained by the leak"),
    "leak, and fair is missing": (VALUE, figure(0.80, leaks=True), None, "not measured"),
    "fair is lower, and there is no leak": (VALUE, figure(0.80), figure(0.5), "reproduced"),
    "the authors' protocol is missing": (VALUE, None, figure(0.80), "not measured"),
    "not there even with the leak": (VALUE, figure(0.5, leaks=True), figure(0.5), "not reproduced"),
    "difference above 0": (A_AND_B, difference(0.001, 0.02), None, "reproduced"),
    "a gain, and no better than most popular": (
        A_AND_B,
        difference(0.001, 0.02, EQUAL),
        None,
        "explained by popularity",
    ),
    "a cost, and no better than most popular": (COST, difference(0.001, 0.02, EQUAL), None, "reproduced"),
    "a cost around 0": (COST, difference(-0.01, 0.01), None, "within noise"),
    "a cost with the leak alone": (
        COST,
        difference(0.001, 0.02, leaks=True),
        difference(-0.01, 0.01),
        "explained by the leak",
    ),
    "difference below 0": (A_AND_B, difference(-0.02, -0.001), None, "not reproduced"),
    "difference around 0": (A_AND_B, difference(-0.01, 0.01), None, "within noise"),
    "difference of the claimed size": (BY, difference(0.02, 0.04), None, "reproduced"),
    "difference larger than claimed": (BY, difference(0.05, 0.07), None, "reproduced"),
    "difference within the tolerance of the claim": (BY, difference(0.01, 0.026), None, "reproduced"),
    "difference smaller than claimed": (BY, difference(0.01, 0.02), None, "not reproduced"),
    "around 0 and below the claim": (BY, difference(-0.01, 0.01), None, "within noise"),
    "around 0 and around the claim": (BY, difference(-0.01, 0.05), None, "cannot be shown by this measurement"),
    "one run, and no users": (A_AND_B, difference(-INF, INF), None, "cannot be shown by this measurement"),
    "reversed": (BY, difference(-0.05, -0.01), None, "not reproduced"),
    "better, and both no better than popular": (
        A_AND_B,
        difference(0.01, 0.02, EQUAL),
        None,
        "explained by popularity",
    ),
    "better with the leak alone": (
        A_AND_B,
        difference(0.01, 0.02, leaks=True),
        difference(-0.01, 0.01),
        "explained by the leak",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_cases(case: str) -> None:
    claim, paper, fair, expected = CASES[case]
    assert verdict(claim, paper, fair) == expected


def test_every_verdict_has_a_case() -> None:
    assert {expected for *_, expected in CASES.values()} == set(VERDICTS)


def test_a_figure_of_a_run_as_a_whole_is_over_seeds() -> None:
    # Student's quantile with two degrees of freedom, 4.303, times the deviation over the root of three.
    found = over_users_and_seeds(np.array([[1.0], [2.0], [3.0]]))
    assert (found.mean, found.half) == pytest.approx((2, 4.302653 / 3**0.5))


def test_of_one_run_as_a_whole_nothing_is_known() -> None:
    assert over_users_and_seeds(np.array([[1.0]])).half == float("inf")
    assert np.isnan(p_value(np.array([[1.0]])))


def test_without_any_spread_a_difference_is_0_or_certain() -> None:
    assert (p_value(np.zeros((3, 4))), p_value(np.ones((3, 4))), p_value(np.ones((1, 4)))) == (1, 0, 0)


def test_seeds_that_change_nothing_leave_the_interval_over_users() -> None:
    one = np.random.default_rng(0).normal(size=(1, 50))
    alone, three = over_users_and_seeds(one), over_users_and_seeds(np.repeat(one, 3, 0))
    assert (three.mean, three.half) == pytest.approx((alone.mean, alone.half))


@pytest.mark.parametrize(("of_users", "of_seeds"), [(1.0, 0.0), (1.0, 0.3), (0.3, 0.3), (1.0, 1.0), (0.1, 1.0)])
def test_the_interval_holds_the_truth_as_often_as_it_says(of_users: float, of_seeds: float) -> None:
    draws, tries = np.random.default_rng(7), 2000
    held = 0
    for _ in range(tries):
        users, seeds = of_users * draws.normal(size=100), of_seeds * draws.normal(size=(3, 1))
        values = users + seeds + draws.normal(size=(3, 100))
        found = over_users_and_seeds(values)
        held += found.low <= 0 <= found.high
        assert (p_value(values) >= 0.05) == (found.low <= 0 <= found.high)
        assert found.half >= over_users_and_seeds(values.mean(1, keepdims=True)).half
    # 95 % or more (the noise within a seed counts twice), and never far more: four standard errors of a share.
    assert 0.95 - 4 * (0.05 * 0.95 / tries) ** 0.5 <= held / tries <= 0.99
