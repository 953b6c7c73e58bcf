"""Intervals over users."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import bootstrap, norm

from fedrec.errors import InputError
from fedrec.evaluation import intervals
from fedrec.evaluation.intervals import estimates, over_users


def one(values: np.ndarray, **options: float) -> intervals.Estimate:
    (estimate,) = over_users(np.asarray(values, dtype=float)[:, None], **options)  # type: ignore[arg-type]
    return estimate


def test_agreement_with_the_binomial() -> None:
    # 400 users, a third hit: the standard error is sqrt(p (1 - p) / 400) = 0.02357, 1.96 of it 0.0462.
    estimate = one(np.arange(400) % 3 == 0)
    assert estimate.mean == pytest.approx(134 / 400)
    assert estimate.high - estimate.mean == pytest.approx(0.0462, abs=0.002)
    assert estimate.mean - estimate.low == pytest.approx(0.0462, abs=0.002)
    assert estimate.half == pytest.approx(0.0462, abs=0.002)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_agreement_with_scipy(confidence: float) -> None:
    # Both are simulations of the same distribution: an end of it moves by sqrt(a (1 - a) / R) over the density there.
    values = np.random.default_rng(5).gamma(0.5, size=150)  # skewed, as metrics are
    ours = one(values, confidence=confidence)
    theirs = bootstrap(
        (values,), np.mean, n_resamples=9_999, confidence_level=confidence, method="percentile", rng=1
    ).confidence_interval
    tail, error = (1 - confidence) / 2, values.std(ddof=1) / np.sqrt(len(values))
    moves = np.sqrt(2 * tail * (1 - tail) / 9_999) / norm.pdf(norm.ppf(tail)) * error
    assert ours.low == pytest.approx(theirs.low, abs=4 * moves)
    assert ours.high == pytest.approx(theirs.high, abs=4 * moves)


SMALL = arrays.arrays(
    float, st.tuples(st.integers(2, 12), st.integers(1, 3)), elements=st.sampled_from([-1, 0, 0.5, 1])
)


@settings(max_examples=60, deadline=None)
@given(values=SMALL, confidence=st.sampled_from([0.5, 0.9, 0.95, 0.98]))
def test_the_interval_holds_zero_exactly_where_p_is_large(values: np.ndarray, confidence: float) -> None:
    for estimate in over_users(values, confidence, resamples=199):
        assert (estimate.low <= 0 <= estimate.high) == (estimate.p > 1 - confidence + 1e-9)
        assert values.min() <= estimate.low <= estimate.high <= values.max()


def test_columns_do_not_depend_on_each_other_or_on_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(50, 3))
    together, apart = (
        [astuple(estimate) for columns in split for estimate in over_users(columns, resamples=99)]
        for split in ([values], np.hsplit(values, 3))
    )
    assert np.ravel(apart) == pytest.approx(np.ravel(together), abs=1e-12)
    monkeypatch.setattr(intervals, "_CELLS", 200)
    assert np.ravel([astuple(estimate) for estimate in over_users(values, resamples=99)]) == pytest.approx(
        np.ravel(together), abs=1e-12
    )


def test_a_sum_that_is_zero_but_for_rounding_is_zero() -> None:
    # Gains of 0.1 and 0.2 and a loss of 0.3 cancel, though not in binary.
    assert one([0.1, 0.2, -0.3] * 20).p == pytest.approx(1, abs=0.1)
    assert one(np.zeros(5)) == intervals.Estimate(0, 0, 0, 1)


def test_one_user_and_none() -> None:
    estimate = one([0.7])
    assert (estimate.mean, estimate.p) == (0.7, 1)
    assert np.isnan([estimate.low, estimate.high]).all()
    with pytest.raises(InputError, match="at least one user"):
        one([])


def test_estimates_of_several_numbers_of_users() -> None:
    draw = np.random.default_rng(0)
    figures = {"a": draw.random(30), "b": draw.random(40), "c": draw.random(30)}
    found = estimates(figures, resamples=99)
    assert found.keys() == figures.keys()
    for key, values in figures.items():
        (alone,) = over_users(values[:, None], resamples=99)
        assert (found[key].low, found[key].high) == pytest.approx((alone.low, alone.high))
    assert estimates({}) == {}


USERS, EXPERIMENTS = 300, 1_000
# What two runs differ by, user by user, where neither is better.
NULLS = {
    "hits": ([-1.0, 0.0, 1.0], [0.1, 0.8, 0.1]),  # a tenth of the users gains a hit, as many lose one
    "gains": ([-0.1, 0.0, 0.6], [0.3, 0.65, 0.05]),  # many small losses, few large gains
}


def called_different(kind: str, shift: float) -> float:
    """The share of experiments in which p is at most 5 %."""
    values, shares = NULLS[kind]
    draws = np.random.default_rng(11).choice(values, p=shares, size=(USERS, EXPERIMENTS)) + shift
    return float(np.mean([estimate.p <= 0.05 for estimate in over_users(draws, resamples=999)]))


@pytest.mark.parametrize("kind", NULLS)
def test_level(kind: str) -> None:
    assert called_different(kind, 0) == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / EXPERIMENTS))


def test_power() -> None:
    # (z_0.975 + z_0.8) standard errors is what is found in 80 % of the experiments.
    detectable = (1.95996 + 0.84162) * np.sqrt(0.2 / USERS)
    assert called_different("hits", detectable) == pytest.approx(0.8, abs=4 * np.sqrt(0.8 * 0.2 / EXPERIMENTS))
