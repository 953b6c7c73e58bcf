"""Epsilon against published settings and the library as a whole, and the noise that is found for an epsilon."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from fedrec.errors import InputError
from fedrec.uploads import accountant
from fedrec.uploads.accountant import epsilon_of, noise_for
from fedrec.uploads.budget import Budget

# All clients in every round: the divergences of such a round need no series, and are computed at once.
COIN = 1.0

# Published: coin, noise multiplier, rounds, delta and the epsilon that is stated.
# - Abadi et al., "Deep Learning with Differential Privacy", CCS 2016, arXiv:1607.00133, section 3.2: "1.26".
# - The MNIST tutorial of TensorFlow Privacy, 60,000 examples in batches of 256: 1.19 after 15 epochs, 3.01 after 60,
#   7.10 after 45.
PUBLISHED = [
    (0.01, 4.0, 10_000, 1e-5, 1.26),
    (256 / 60_000, 1.3, 15 * 60_000 // 256, 1e-5, 1.19),
    (256 / 60_000, 1.1, 60 * 60_000 // 256, 1e-5, 3.01),
    (256 / 60_000, 0.7, 45 * 60_000 // 256, 1e-5, 7.10),
]


@pytest.mark.parametrize(("coin", "noise", "rounds", "delta", "stated"), PUBLISHED)
def test_epsilon_is_that_of_published_settings(
    coin: float, noise: float, rounds: int, delta: float, stated: float
) -> None:
    """They turned divergences into epsilon by ``min_a rdp_a + log(1 / delta) / (a - 1)`` (Mironov 2017, proposition 3).

    The conversion of today (Canonne, Kamath, Steinke 2020, proposition 12) is tighter: what it takes off,
    ``-log(1 - 1 / a) + log(a) / (a - 1)``, is written out at the order that it chooses.
    """
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
    from dp_accounting.rdp import RdpAccountant

    orders = np.array(accountant._orders())
    divergences = rounds * np.array(accountant._divergences(coin, noise))
    first = divergences + math.log(1 / delta) / (orders - 1)
    assert first.min() == pytest.approx(stated, abs=0.006)
    tighter = (first + np.log1p(-1 / orders) - np.log(orders) / (orders - 1)).min()
    found = epsilon_of([(coin, noise, rounds)], delta)
    assert found == pytest.approx(tighter, rel=1e-12)
    whole = RdpAccountant().compose(PoissonSampledDpEvent(coin, GaussianDpEvent(noise)), rounds)
    assert found == pytest.approx(whole.get_epsilon(delta), rel=1e-12)


def test_rounds_of_several_kinds_add_up() -> None:
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
    from dp_accounting.rdp import RdpAccountant

    whole = RdpAccountant()
    for coin, noise, rounds in (kinds := [(0.1, 2.0, 30), (0.2, 3.0, 7)]):
        whole.compose(PoissonSampledDpEvent(coin, GaussianDpEvent(noise)), rounds)
    assert epsilon_of(kinds, 1e-4) == pytest.approx(whole.get_epsilon(1e-4), rel=1e-12)
    assert epsilon_of([], 1e-4) == 0
    assert epsilon_of([*kinds, (0.1, 0.0, 1)], 1e-4) == math.inf


def test_the_noise_of_an_epsilon_reaches_it_and_no_less_would() -> None:
    noise = noise_for(2.0, 1e-4, 0.1, 50)
    assert 1.999 < epsilon_of([(0.1, noise, 50)], 1e-4) <= 2.0
    assert epsilon_of([(0.1, 0.999 * noise, 50)], 1e-4) > 2.0
    assert noise_for(1e9, 1e-4, 0.1, 50) == accountant.LEAST_NOISE


def test_the_noise_of_rounds_after_others_keeps_them_all_within_epsilon() -> None:
    spent = ((COIN, 20.0, 20),)
    noise = noise_for(2.0, 1e-4, COIN, 50, spent)
    assert 1.999 < epsilon_of([*spent, (COIN, noise, 50)], 1e-4) <= 2.0
    with pytest.raises(InputError, match=r"^model\.privacy\.epsilon=0\.5: 50 rounds .* after rounds that have spent"):
        noise_for(0.5, 1e-4, COIN, 50, spent)


def test_an_epsilon_that_no_noise_reaches() -> None:
    said = r"^model\.privacy\.epsilon=1e-05: 100000 rounds of cohorts of 1 of the clients cannot stay within it"
    with pytest.raises(InputError, match=said):
        noise_for(1e-5, 1e-6, 1.0, 100_000)


def test_without_the_library_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    with pytest.raises(InputError, match=r"^model\.privacy: the accountant is missing; expected `pip install 'fedrec"):
        epsilon_of([(0.11, 2.0, 3)], 1e-4)


# ---------------------------------------------------------------------- what may be spent


def spent(budget: Budget, rounds: int) -> float:
    for _ in range(rounds):
        budget.noise(COIN)
        budget.spend()
    return budget.spent()


def opened(rounds: int | None = 6, *given: float | None) -> Budget:
    budget = Budget(*(given or (2.0, None, None)))
    budget.of(100)
    budget.plan(rounds, COIN)
    return budget


def test_planned_rounds_spend_epsilon_and_every_round_says_how_much() -> None:
    budget = opened()
    assert budget.delta == 100**-1.1
    assert spent(budget, 0) == 0
    path = [spent(budget, 1) for _ in range(6)]
    assert path == sorted(path)
    assert 1.999 < path[-1] <= 2.0


def test_a_budget_goes_on_where_it_was() -> None:
    whole, first, rest = opened(), opened(), opened()
    spent(first, 2)
    rest.load(first.state())
    assert spent(rest, 4) == spent(whole, 6)
    assert rest.state() == whole.state()


def test_more_rounds_than_planned_share_what_is_left() -> None:
    first, rest = opened(6), opened(12)
    spent(first, 3)
    rest.load(first.state())
    assert rest.noise(COIN) > first.noise(COIN)
    assert 1.999 < spent(rest, 9) <= 2.0
    fewer = opened(4)
    fewer.load(first.state())
    assert fewer.noise(COIN) == first.noise(COIN)


def test_after_all_planned_rounds_nothing_is_left() -> None:
    first, rest = opened(6), opened(12)
    spent(first, 6)
    rest.load(first.state())
    with pytest.raises(InputError, match=r"^model\.privacy\.epsilon=2: the 6 rounds that it was planned for have"):
        rest.noise(COIN)


def test_a_given_noise_is_counted_on_without_a_plan() -> None:
    budget = opened(None, None, 1.5, 1e-3)
    assert spent(budget, 20) == pytest.approx(epsilon_of([(COIN, 1.5, 20)], 1e-3), rel=1e-12)
    assert opened(None, None, 0.0, 1e-3).spent() == 0
    assert spent(opened(None, None, 0.0, 1e-3), 1) == math.inf


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((None, None, None), r"model\.privacy: neither of epsilon and noise_multiplier given; expected one of them"),
        ((1.0, 1.0, None), r"model\.privacy: both of epsilon and noise_multiplier given; expected one of them"),
        ((0.0, None, None), r"model\.privacy\.epsilon=0\.0: expected a finite number above 0"),
        ((math.inf, None, None), r"model\.privacy\.epsilon=inf: expected a finite number above 0"),
        ((None, -1.0, None), r"model\.privacy\.noise_multiplier=-1\.0: expected a finite number of at least 0"),
        ((1.0, None, 0.0), r"model\.privacy\.delta=0\.0: expected a number above 0"),
        ((1.0, None, 1.0), r"model\.privacy\.delta=1\.0: expected a number above 0"),
    ],
)
def test_budgets_that_are_none(given: tuple[float | None, ...], said: str) -> None:
    with pytest.raises(InputError, match=f"^{said}"):
        Budget(*given)


def test_a_delta_at_which_a_client_may_be_published() -> None:
    with pytest.raises(InputError, match=r"^model\.privacy\.delta=0\.01: .* expected less than 1 / 100$"):
        Budget(1.0, None, 0.01).of(100)
    Budget(1.0, None, 0.0099).of(100)


def test_rounds_without_a_plan_or_of_other_cohorts() -> None:
    budget = Budget(1.0, None, None)
    budget.of(100)
    with pytest.raises(InputError, match=r"^model\.privacy\.epsilon: nobody has planned rounds"):
        budget.noise(COIN)
    with pytest.raises(InputError, match=r"^model\.privacy\.epsilon: expected a planned number of rounds"):
        budget.plan(None, COIN)
    for call in (lambda: budget.noise(None), lambda: budget.plan(3, None)):
        with pytest.raises(InputError, match=r"expected data\.availability\.cohort=poisson$"):
            call()
