"""The search space: what one option of a sweep can be, in W&B's distributions.

Every parameter is a function from [0, 1] to its values, the inverse of its cumulative distribution. So a uniform number
makes a draw, 0.5 is the middle, and a search over the unit cube is a search over any space.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

MOST_STEPS = 100_000  # of a quantised range in a grid
# Points of a distribution that stand for all of it: both ends and the inside.
QUANTILES = (1e-6, 0.37, 1 - 1e-6)


class SpecError(ValueError):
    """A specification that no distribution fits.

    Attributes:
        key: The key within the specification that is to blame, or none.
    """

    def __init__(self, message: str, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


class Dimension(ABC):
    """The values of one parameter."""

    @abstractmethod
    def at(self, quantile: float) -> Any:
        """Return the value below which this share of all draws lies."""

    @abstractmethod
    def holds(self, value: Any) -> bool:
        """Whether ``at`` can return this value."""

    @property
    def is_open(self) -> bool:
        """Whether it can be more than one value."""
        return True

    def examples(self) -> list[Any]:
        """Return values that stand for all."""
        return [self.at(quantile) for quantile in QUANTILES]

    def cells(self) -> Sequence[Any] | None:
        """Return the values of a grid in order, or none if there is no end of them."""
        return None


@dataclass(frozen=True)
class Listed(Dimension):
    """Values that were written down, equally likely or by weights; a constant is a list of one."""

    values: tuple[Any, ...]
    weights: tuple[float, ...] | None = None

    @property
    def is_open(self) -> bool:
        """See base class."""
        return len(self.values) > 1

    def at(self, quantile: float) -> Any:
        """Return the value below which this share of all draws lies."""
        if self.weights is None:
            place = math.ceil(quantile * len(self.values)) - 1
        else:
            place = bisect_right(list(accumulate(self.weights)), quantile)
        return self.values[min(max(place, 0), len(self.values) - 1)]

    def holds(self, value: Any) -> bool:
        """Whether it is listed."""
        return self.index(value) is not None

    def index(self, value: Any) -> int | None:
        """Return the place of a value in the list; 1, 1.0 and true are three values."""
        return next((place for place, one in enumerate(self.values) if _text(one) == _text(value)), None)

    def examples(self) -> list[Any]:
        """Return every value."""
        return list(self.values)

    def cells(self) -> Sequence[Any] | None:
        """Return the distinct values in the order of the file."""
        return None if self.weights else list({_text(value): value for value in self.values}.values())

    @property
    def ordered(self) -> bool:
        """Whether the values are numbers that rise or fall, so that neighbours are alike."""
        numbers = [value for value in self.values if is_number(value)]
        return len(numbers) == len(self.values) and numbers in (sorted(numbers), sorted(numbers, reverse=True))


@dataclass(frozen=True)
class Whole(Dimension):
    """Whole numbers from ``low`` to ``high``, both included."""

    low: int
    high: int

    def at(self, quantile: float) -> int:
        """Return the number below which this share of all draws lies."""
        place = math.ceil(quantile * (self.high - self.low + 1)) - 1
        return self.low + min(max(place, 0), self.high - self.low)

    def holds(self, value: Any) -> bool:
        """Whether it is a whole number between the bounds."""
        return type(value) is int and self.low <= value <= self.high

    def cells(self) -> range:
        """Return every number."""
        return range(self.low, self.high + 1)


@dataclass(frozen=True)
class Spread(Dimension):
    """A continuous distribution of scipy's, rounded to multiples of ``step`` if there is one."""

    distribution: Any
    step: float | int | None = None

    def at(self, quantile: float) -> float | int:
        """Return the value below which this share of all draws lies."""
        value = float(self.distribution.ppf(quantile))
        return value if self.step is None else round(value / self.step) * self.step

    def holds(self, value: Any) -> bool:
        """Whether it lies within the distribution's bounds, or half a step outside where rounding ends."""
        low, high = self.distribution.support()
        margin = (self.step or 0) / 2 + 1e-9 * abs(value if is_number(value) else 0)
        return is_number(value) and low - margin <= value <= high + margin

    def place(self, value: float) -> float:
        """Return the quantile of a value, the inverse of ``at``."""
        return min(max(float(self.distribution.cdf(float(value))), 0.0), 1.0)


@dataclass(frozen=True)
class Steps(Spread):
    """A uniform range in steps, which a grid can walk through as W&B does: from ``low``, without ``high``."""

    low: float = 0.0
    high: float = 1.0

    def cells(self) -> Sequence[Any] | None:
        """Return every step."""
        import numpy as np

        assert self.step is not None
        if (self.high - self.low) / self.step > MOST_STEPS:
            raise SpecError(f"has more than {MOST_STEPS:,} steps; a grid needs fewer", "q")
        return list(np.arange(self.low, self.high, self.step).tolist())


def is_number(value: Any) -> bool:
    """Whether a value is a number that can be computed with; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
