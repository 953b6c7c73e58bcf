"""What rounds with noise cost: the Renyi accountant of the library dp-accounting, for Poisson cohorts.

One round releases a sum over a Poisson cohort with Gaussian noise: the subsampled Gaussian mechanism of Mironov,
Talwar, Zhang, arXiv:1908.10530, for neighbours that differ by one client added or removed. Rounds compose by adding up
their Renyi divergences, which the library gives and turns into epsilon at a delta. Accounting by privacy loss
distributions is 10 to 15 % tighter, and takes seconds for every value.

The library is the extra ``fedrec[dp]``; nothing of it is imported before it is needed.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from fedrec.errors import InputError

LEAST_NOISE, MOST_NOISE = 0.05, 1000.0
Rounds = tuple[float, float, int]
"""Rounds of one kind: the coin of their cohorts, their noise multiplier, their number."""


def epsilon_of(history: Sequence[Rounds], delta: float) -> float:
    """Epsilon at ``delta`` of all these rounds together.

    Example:
        A hundred rounds with a tenth of the clients each (Mironov et al.'s bound, evaluated by the library):

        >>> round(epsilon_of([(0.1, 2.0, 100)], delta=1e-3), 2)
        1.8
    """
    if not sum(rounds for *_, rounds in history):
        return 0.0
    rdp = sum(rounds * np.array(_divergences(coin, noise)) for coin, noise, rounds in history if rounds)
    return float(_library().rdp.rdp_privacy_accountant.compute_epsilon(_orders(), rdp, delta)[0])


@lru_cache(maxsize=64)
def epsilon_of_gaussian(noise: float, delta: float) -> float:
    """Epsilon at ``delta`` of Gaussian noise once, on values that differ by at most 1, of everybody."""
    return float(_library().get_epsilon_gaussian(noise, delta))


@lru_cache(maxsize=64)
def noise_for(epsilon: float, delta: float, coin: float, rounds: int, spent: tuple[Rounds, ...] = ()) -> float:
    """The least noise multiplier with which so many rounds, after those that are ``spent``, stay within ``epsilon``.

    Raises:
        InputError: If none does.
    """
    least, most = (epsilon_of([*spent, (coin, noise, rounds)], delta) for noise in (LEAST_NOISE, MOST_NOISE))
    if least <= epsilon:
        return LEAST_NOISE
    if most > epsilon:
        before = epsilon_of(spent, delta)
        after = f" after rounds that have spent {before:.4g}" if spent else ""
        raise InputError(
            f"model.privacy.epsilon={epsilon:g}: {rounds} rounds of cohorts of {coin:g} of the clients{after} cannot "
            f"stay within it at delta {delta:.3g} with any noise multiplier up to {MOST_NOISE:g}; expected more"
        )
    dp = _library()
    bracket = dp.ExplicitBracketInterval(math.log(LEAST_NOISE), math.log(MOST_NOISE))

    def event(noise: float) -> Any:
        """All rounds, with this logarithm of the noise multiplier in those to come."""
        kinds = [*spent, (coin, math.exp(noise), rounds)]
        return dp.ComposedDpEvent([dp.SelfComposedDpEvent(_event(*kind), count) for *kind, count in kinds])

    with _quiet():
        return math.exp(dp.calibrate_dp_mechanism(dp.rdp.RdpAccountant, event, epsilon, delta, bracket, tol=1e-5))


@lru_cache(maxsize=64)
def _divergences(coin: float, noise: float) -> tuple[float, ...]:
    """Renyi divergences of one round; a quarter of a second, so that they are kept."""
    with _quiet():
        return tuple(_library().rdp.RdpAccountant().compose(_event(coin, noise)).rdp.tolist())


@lru_cache(maxsize=1)
def _orders() -> tuple[float, ...]:
    return tuple(_library().rdp.RdpAccountant().orders.tolist())


def _event(coin: float, noise: float) -> Any:
    dp = _library()
    return dp.PoissonSampledDpEvent(coin, dp.GaussianDpEvent(noise))


def _library() -> Any:
    try:
        import dp_accounting
    except ImportError:
        raise InputError("model.privacy: the accountant is missing; expected `pip install 'fedrec[dp]'`") from None
    return dp_accounting


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's warnings of orders that it leaves out, which only makes its epsilon larger."""
    log = logging.getLogger("absl")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
