"""Measurements of an audit, each a small record and the function that takes it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from fedrec.data.draws import Int64s
from fedrec.data.interactions import TimeUnit
from fedrec.data.times import EARLIEST, EPOCH, TICKS_PER_SECOND, guessed_unit

_BINS = 48


@dataclass(frozen=True)
class Spread:
    """Mean, extremes and percentiles of counts."""

    mean: float
    minimum: int
    p10: float
    p25: float
    median: float
    p75: float
    p90: float
    p99: float
    maximum: int

    @classmethod
    def of(cls, counts: Int64s) -> Spread:
        """Measure ``int64 [*]`` counts, at least one.

        Example:
            >>> Spread.of(np.array([1, 2, 9])).median
            2.0
        """
        p10, p25, median, p75, p90, p99 = np.percentile(counts, (10, 25, 50, 75, 90, 99)).tolist()
        return cls(float(counts.mean()), int(counts.min()), p10, p25, median, p75, p90, p99, int(counts.max()))


@dataclass(frozen=True)
class Concentration:
    """How unevenly training rows fall on items.

    Attributes:
        top_1_percent: Share of the rows on the most popular 1 % of the items (at least one item).
        top_10_percent: The same for 10 %.
        gini: Gini coefficient: 0 when all items have the same number of rows, near 1 when one has them all.
    """

    top_1_percent: float
    top_10_percent: float
    gini: float

    @classmethod
    def of(cls, popularity: Int64s) -> Concentration:
        """Measure ``int64 [I]`` rows per item, not all zero.

        Example:
            >>> Concentration.of(np.array([6, 2, 2, 0]))
            Concentration(top_1_percent=0.6, top_10_percent=0.6, gini=0.45)
        """
        ascending = np.sort(popularity).astype(np.float64)
        items, rows = len(ascending), ascending.sum()
        one, ten = (float(ascending[-max(1, items // part) :].sum() / rows) for part in (100, 10))
        gini = 2 * (np.arange(1, items + 1) @ ascending) / (items * rows) - (items + 1) / items
        return cls(one, ten, float(gini))


@dataclass(frozen=True)
class Timestamps:
    """What the file's times look like, before anything is left out.

    Attributes:
        unit: As the reader was told, else guessed from the median; none where it fits no unit of time since 1970.
        unit_guessed: Whether it was guessed here.
        first: Earliest time in ISO 8601, or the bare number where the unit is unknown.
        last: Latest time.
        constant: Whether all rows have the same time.
        impossible: Rows before 1990 or after the audit; 0 where the unit is unknown.
        bin_edges: Edges of equal bins over the plausible times, in ISO 8601 or bare numbers; one more than bins.
        bin_rows: Plausible rows in each bin.
    """

    unit: TimeUnit | None
    unit_guessed: bool
    first: str
    last: str
    constant: bool
    impossible: int
    bin_edges: list[str]
    bin_rows: list[int]

    @classmethod
    def of(cls, time: Int64s, stated: TimeUnit | None, now: datetime) -> Timestamps:
        """Measure ``int64 [N]`` times, at least one, in the stated unit where there is one.

        Example:
            >>> from datetime import UTC
            >>> Timestamps.of(np.array([10**9, 10**9 + 86_400]), None, datetime(2026, 1, 1, tzinfo=UTC)).last
            '2001-09-10T01:46:40Z'
        """
        unit = stated or guessed_unit(time)
        plausible = np.ones(len(time), dtype=np.bool_)
        if unit is not None:
            earliest, latest = (
                int((moment - EPOCH).total_seconds()) * TICKS_PER_SECOND[unit] for moment in (EARLIEST, now)
            )
            plausible = (time >= earliest) & (time <= latest)
        kept = time[plausible]
        start = int(kept.min()) if len(kept) else 0
        # From the first on: floats cannot tell large times that lie close together apart. No two are 2^64 apart.
        rows, edges = np.histogram((kept - start).view(np.uint64), bins=_BINS)
        return cls(
            unit=unit,
            unit_guessed=stated is None and unit is not None,
            first=_moment(int(time.min()), unit),
            last=_moment(int(time.max()), unit),
            constant=bool(time.min() == time.max()),
            impossible=int(np.count_nonzero(~plausible)),
            bin_edges=[_moment(start + int(edge), unit) for edge in edges],
            bin_rows=rows.tolist(),
        )


def _moment(time: int, unit: TimeUnit | None) -> str:
    """A time as text; a number out of the calendar's reach stays a number."""
    if unit is None:
        return str(time)
    try:
        return (EPOCH + timedelta(seconds=time // TICKS_PER_SECOND[unit])).strftime("%Y-%m-%dT%H:%M:%SZ")
    except OverflowError:
        return str(time)
