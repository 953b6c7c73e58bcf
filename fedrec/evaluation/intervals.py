"""How sure a mean over users is: a bootstrap over users. Every interval over users is made here."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fedrec.errors import InputError

Floats = NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)

RESAMPLES = 9_999  # with the sample itself 10,000: 2.5 % of them are a whole number
_BLOCK = 32  # resamples drawn at once; which users they hold depends on it
_CELLS = 2**24  # resampled means held at once: 128 MiB


@dataclass(frozen=True)
class Estimate:
    """A mean over users, its interval, and how far it is from 0.

    Attributes:
        mean: The mean.
        low: Lower end of the interval.
        high: Upper end.
        p: Two-sided p-value of a mean of 0; it is at most 1 minus the confidence where the interval does not hold 0.
    """

    mean: float
    low: float
    high: float
    p: float

    @property
    def half(self) -> float:
        """Half the interval's width."""
        return (self.high - self.low) / 2


def over_users(values: Floats, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0) -> list[Estimate]:
    """Means over users with percentile intervals; all columns are resampled together, so that they can be compared.

    Args:
        values: ``float64 [U, M]``: M figures of every user.
        confidence: Coverage.
        resamples: How often as many users are drawn with replacement.
        seed: Any integer; the draws are a function of it, of U and of the resample's number.

    Returns:
        M estimates; with one user, whose like nobody knows, the interval is NaN and p is 1.

    Raises:
        InputError: There are no users.

    Example:
        >>> half_hit = np.repeat([[1.0], [0.0]], 50, axis=0)  # 100 users, of whom 50 find their item
        >>> over_users(half_hit)
        [Estimate(mean=0.5, low=0.4, high=0.6, p=0.0002)]
    """
    users, figures = values.shape
    if users == 0:
        raise InputError("an interval over users: expected at least one user, got none")
    if users == 1:
        return [Estimate(float(value), np.nan, np.nan, 1.0) for value in values[0]]
    width = max(1, _CELLS // resamples)
    parts = [values[:, first : first + width] for first in range(0, figures, width)]
    return [estimate for part in parts for estimate in _estimates(part, confidence, resamples, seed)]


def estimates(figures: Mapping[Key, Floats], resamples: int = RESAMPLES) -> dict[Key, Estimate]:
    """Means over users with 95 % intervals, computed together.

    Args:
        figures: ``float64 [U]``, a figure of every user; U may differ.
        resamples: See :func:`over_users`.

    Returns:
        Estimates by the same keys.

    Example:
        >>> estimates({"HR": np.array([0.0, 1.0] * 50)})["HR"].half
        0.1
    """
    by_users: dict[int, list[Key]] = {}
    for key, values in figures.items():
        by_users.setdefault(len(values), []).append(key)
    by_key: dict[Key, Estimate] = {}
    for keys in by_users.values():
        together = over_users(np.stack([figures[key] for key in keys], 1), resamples=resamples)
        by_key |= zip(keys, together, strict=True)
    return by_key


def _estimates(values: Floats, confidence: float, resamples: int, seed: int) -> Iterator[Estimate]:
    # Rounded, so that a sum which is 0 but for the order of its terms is 0 on every processor.
    means = np.concatenate([weights @ values for weights in _weights(len(values), resamples, seed)]).round(12)
    # Order statistics that hold exactly the resamples which the p-value counts: interval and p-value never disagree.
    outside = max(1, round((1 - confidence) / 2 * (resamples + 1)))
    ordered = np.partition(means, (outside - 1, resamples - outside), axis=0)
    beyond = np.minimum((means <= 0).sum(0), (means >= 0).sum(0))
    p = np.minimum(1.0, 2 * (beyond + 1) / (resamples + 1))
    ends = ordered[outside - 1], ordered[resamples - outside]
    for row in zip(values.mean(0), *ends, p, strict=True):
        yield Estimate(*map(float, row))


def _weights(users: int, resamples: int, seed: int) -> Iterator[Floats]:
    """What share every user has in each resample, ``[b, U]`` at a time."""
    for number, first in enumerate(range(0, resamples, _BLOCK)):
        size = min(_BLOCK, resamples - first)
        drawn = np.random.default_rng([seed, number]).integers(users, size=(size, users))
        cells = (drawn + users * np.arange(size)[:, None]).ravel()
        yield np.bincount(cells, minlength=size * users).reshape(size, users) / users
