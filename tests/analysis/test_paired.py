"""Tests of paired differences, against scipy and against simulations of known effect."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, bootstrap, permutation_test, ttest_1samp

from fedrec.analysis import paired
from fedrec.analysis.paired import detectable, effect_size, holm, mcnemar, over_seeds_p, randomisation
from fedrec.evaluation.intervals import over_users

SMALL = st.lists(st.sampled_from([-1.0, -0.5, -0.1, 0.0, 0.1, 0.3, 1.0]), min_size=1, max_size=9)


@settings(max_examples=40, deadline=None)
@given(SMALL)
def test_agreement_with_all_patterns_of_signs(changes: list[float]) -> None:
    # scipy goes through all patterns where there are few: the exact p-value.
    values = np.array(changes)
    exact = (
        permutation_test(
            (values, np.zeros_like(values)),
            lambda x, y, axis: np.mean(x - y, axis),
            permutation_type="samples",
            vectorized=True,
        ).pvalue
        if len(values) > 1
        else 1.0
    )
    (drawn,) = randomisation(values[:, None], flips=4_999)
    assert drawn == pytest.approx(exact, abs=5 * np.sqrt(exact * (1 - exact) / 4_999) + 1 / 5_000)


def test_agreement_with_scipys_drawn_patterns() -> None:
    draw = np.random.default_rng(4)
    changes = draw.choice([-1.0, -0.4, 0.0, 0.3, 1.0], size=300) + 0.06
    theirs = permutation_test(
        (changes, np.zeros(300)),
        lambda x, y, axis: np.mean(x - y, axis),
        permutation_type="samples",
        n_resamples=4_999,
        vectorized=True,
        batch=100,
        rng=1,
    ).pvalue
    (ours,) = randomisation(changes[:, None])
    assert ours == pytest.approx(theirs, abs=5 * np.sqrt(theirs * (1 - theirs) * (1 / 4_999 + 1 / 9_999)))
    assert ours == pytest.approx(ttest_1samp(changes, 0).pvalue, abs=0.02)


def test_the_interval_beside_it_is_scipys_bootstrap() -> None:
    changes = np.random.default_rng(4).choice([-1.0, -0.4, 0.0, 0.3, 1.0], size=300) + 0.06
    theirs = bootstrap((changes,), np.mean, method="percentile", n_resamples=9_999, rng=2).confidence_interval
    (ours,) = over_users(changes[:, None])
    error = changes.std(ddof=1) / np.sqrt(300)
    # An end is a quantile of 9,999 draws: its own error is sqrt(a (1 - a) / R) over the normal density there, 0.0584.
    assert (ours.low, ours.high) == pytest.approx(
        tuple(theirs), abs=5 * np.sqrt(2 * 0.025 * 0.975 / 9_999) / 0.0584 * error
    )


def test_columns_blocks_and_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = np.random.default_rng(0).normal(size=(70, 3)) + 0.1
    together = randomisation(changes, flips=599)
    assert together == [randomisation(column[:, None], flips=599)[0] for column in changes.T]
    assert together == randomisation(changes, flips=599)
    assert together != randomisation(changes, flips=599, seed=1)
    monkeypatch.setattr(paired, "_USERS", 16)  # users in parts: other signs, the same distribution
    assert randomisation(changes, flips=9_999) == pytest.approx(together, abs=0.1)


def test_equal_sums_are_equal_whatever_the_rounding() -> None:
    # 0.1 + 0.2 is not 0.3 in binary: of the four patterns of two users' signs, two sums are as large.
    assert randomisation(np.array([[0.1], [0.2], [-0.3]]), flips=199) == [1.0]
    assert randomisation(np.zeros((5, 2)), flips=19) == [1.0, 1.0]


@pytest.mark.parametrize(("gains", "losses"), [(0, 0), (5, 0), (30, 12), (400, 401)])
def test_mcnemar_is_the_randomisation_test_of_hits(gains: int, losses: int) -> None:
    changes = np.repeat([1.0, -1.0, 0.0], [gains, losses, 100])
    exact = mcnemar(gains, losses)
    (drawn,) = randomisation(changes[:, None])
    assert drawn == pytest.approx(exact, abs=5 * np.sqrt(exact * (1 - exact) / 9_999) + 1e-4)


USERS, EXPERIMENTS = 300, 1_000
# What two runs differ by, user by user, where neither is better.
NULLS = {"hits": ([-1.0, 0.0, 1.0], [0.1, 0.8, 0.1]), "gains": ([-0.1, 0.0, 0.6], [0.3, 0.65, 0.05])}


def called_different(kind: str, shift: float) -> float:
    values, shares = NULLS[kind]
    changes = np.random.default_rng(7).choice(values, p=shares, size=(USERS, EXPERIMENTS)) + shift
    return float(np.mean(np.array(randomisation(changes, flips=999)) <= 0.05))


@pytest.mark.parametrize("kind", NULLS)
def test_level(kind: str) -> None:
    assert called_different(kind, 0) == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / EXPERIMENTS))


def test_the_detectable_difference_is_detected_in_four_of_five_experiments() -> None:
    shift = (1.95996 + 0.84162) * np.sqrt(0.2 / USERS)
    assert called_different("hits", shift) == pytest.approx(0.8, abs=4 * np.sqrt(0.8 * 0.2 / EXPERIMENTS))


def rejections(gaining: float, losing: float) -> float:
    """The share of experiments that an exact test of the discordant users rejects at 5 %, summed over all counts.

    Under a fair coin both tails are alike, so that the p-value is twice the smaller one, or 1.
    """
    rejected = 0.0
    for users in range(1, USERS + 1):
        chance = binom.pmf(users, USERS, gaining + losing)
        if chance > 1e-9:
            gains = np.arange(users + 1)
            extreme = gains[2 * binom.cdf(np.minimum(gains, users - gains), users, 0.5) <= 0.05]
            rejected += chance * binom.pmf(extreme, users, gaining / (gaining + losing)).sum()
    return rejected


@pytest.mark.parametrize("gaining", [0.1, 0.2])
def test_level_and_power_of_mcnemar(gaining: float) -> None:
    expected = rejections(gaining, 0.1)  # with as many losses as gains it stays below the level, as exact tests do
    assert (expected <= 0.05) == (gaining == 0.1)
    counts = np.random.default_rng(5).multinomial(USERS, [gaining, 0.1, 0.9 - gaining], size=EXPERIMENTS)
    found = np.mean([mcnemar(gains, losses) <= 0.05 for gains, losses, _ in counts.tolist()])
    assert found == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / EXPERIMENTS))


def test_seeds() -> None:
    assert np.isnan(over_seeds_p(np.array([0.3]), np.array([0.3, 0.4]), paired=False))
    same = np.array([0.3, 0.3])
    assert over_seeds_p(same, same, paired=True) == over_seeds_p(same, same, paired=False) == 1
    assert over_seeds_p(same + 0.1, same, paired=True) == over_seeds_p(same + 0.1, same, paired=False) == 0


def test_effect_size() -> None:
    assert effect_size(np.array([1.0] * 10 + [-1.0] * 6 + [0.0] * 84)) == pytest.approx(0.04 / 0.4, abs=1e-3)
    assert effect_size(np.zeros(3)) == 0
    assert effect_size(-np.ones(3)) == -np.inf
    assert np.isnan(effect_size(np.ones(1)))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_step_by_step(p: list[float]) -> None:
    corrected = holm(p)
    rejected, level = set(), 0.05
    for rank, place in enumerate(sorted(range(len(p)), key=lambda place: p[place])):
        if p[place] * (len(p) - rank) > level:
            break
        rejected.add(place)
    assert {place for place, value in enumerate(corrected) if value <= level} == rejected
    assert all(one >= two for one, two in zip(corrected, p, strict=True))


def test_detectable_difference() -> None:
    # Of 100 users 10 gain a hit and 6 lose theirs: mean 0.04; squares sum to 16, so s^2 = (16 - 100 * 0.04^2) / 99
    # and s = 0.40000. With z = 1.95996 + 0.84162 the detectable difference is 2.80158 * 0.4 / 10 = 0.11206.
    assert detectable(np.array([1.0] * 10 + [-1.0] * 6 + [0.0] * 84)) == pytest.approx(0.11206, abs=2e-5)
    # Of four comparisons the first step asks z_(1 - 0.025 / 4) = 2.49771.
    assert detectable(np.array([1.0] * 10 + [-1.0] * 6 + [0.0] * 84), 4) == pytest.approx(0.13357, abs=2e-5)
    assert detectable(np.zeros(9)) == 0
    assert np.isnan(detectable(np.ones(1)))
