"""Units of time: what a whole number that stands for a time counts."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from fedrec.data.interactions import Int64s, TimeUnit

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Before this nobody logged clicks: an earlier time is a mistake, or no time since 1970 at all.
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)
TICKS_PER_SECOND: dict[TimeUnit, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def guessed_unit(times: Int64s) -> TimeUnit | None:
    """The unit since 1970 in which the median lies between 1990 and 2100; none where there is no such unit.

    >>> guessed_unit(np.array([1_304_596_800_000, 1_304_596_800_001]))
    'ms'
    >>> print(guessed_unit(np.arange(12)))
    None
    """
    middle = float(np.median(times))
    for unit, ticks in TICKS_PER_SECOND.items():
        if (EARLIEST - EPOCH).total_seconds() <= middle / ticks <= (_LATEST - EPOCH).total_seconds():
            return unit
    return None
