"""Tests of paired differences: by how much a figure of every user differs between two ways to rank.

No Wilcoxon and no sign test of graded figures: at recommenders' numbers of users they reject too often, where the
randomisation test keeps its level (Ihemelandu, Ekstrand, *Inference at Scale*, SIGIR 2023, arXiv:2305.02461).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri
from scipy.stats import binomtest, ttest_ind, ttest_rel

from fedrec.evaluation.intervals import Floats

LEVEL, POWER = 0.05, 0.8
FLIPS = 9_999  # with the differences as they are 10,000
_BLOCK, _USERS = 256, 2**14  # signs drawn at once: 32 MiB; which they are depends on both


def randomisation(changes: Floats, flips: int = FLIPS, seed: int = 0) -> list[float]:
    """Two-sided p-values of the paired randomisation test: is the sum so large because of which side is which?

    If neither way to rank is better, every user's difference could as well have the other sign. The p-value is the
    share of random sign patterns, the given one included, whose sum is at least as far from 0; all columns see the same
    patterns.

    Args:
        changes: ``float64 [U, M]``: M differences of every user.
        flips: How many sign patterns are drawn.
        seed: Any integer; the signs are a function of it, of U and of the pattern's number.

    Example:
        >>> ten_win_and_two_lose = np.repeat([[1.0], [-1.0], [0.0]], [10, 2, 88], axis=0)
        >>> [round(p, 2) for p in randomisation(ten_win_and_two_lose)]  # the exact one is 0.039
        [0.04]
    """
    users = len(changes)
    # A sum that equals the given one but for the order of its terms is not smaller: their rounding is below this.
    error = 2 * users * np.finfo(np.float64).eps * np.abs(changes).sum(0)
    given = np.abs(changes.sum(0)) - error
    beyond = np.zeros(changes.shape[1], dtype=np.int64)
    for number, first in enumerate(range(0, flips, _BLOCK)):
        sums = np.zeros((min(_BLOCK, flips - first), changes.shape[1]))
        for part, start in enumerate(range(0, users, _USERS)):
            some = changes[start : start + _USERS]
            draw = np.random.default_rng([seed, number, part])
            bits = np.unpackbits(draw.integers(256, size=(_BLOCK, -(-len(some) // 8)), dtype=np.uint8), axis=1)
            sums += (2.0 * bits[: len(sums), : len(some)] - 1) @ some
        beyond += (np.abs(sums) >= given).sum(0)
    return [float(p) for p in (beyond + 1) / (flips + 1)]


def mcnemar(gains: int, losses: int) -> float:
    """Exact two-sided p-value of McNemar's test: of hits that one side has alone, are half won and half lost?

    The randomisation test of differences that are all -1, 0 or 1, without drawing.

    Args:
        gains: Users who hit in one way to rank alone.
        losses: Users who hit in the other alone.

    Example:
        >>> round(mcnemar(10, 2), 4), mcnemar(0, 0)
        (0.0386, 1.0)
    """
    return float(binomtest(gains, gains + losses).pvalue) if gains + losses else 1.0


def over_seeds_p(own: Floats, other: Floats, paired: bool) -> float:
    """Two-sided p-value of Student's t-test over training seeds; NaN where a side has fewer than two.

    Args:
        own: ``float64 [S]``: means over users by seed.
        other: ``float64 [T]``: those of the other side.
        paired: Whether both are of the same runs; else Welch's test.
    """
    if min(len(own), len(other)) < 2:
        return float("nan")
    sides = [(own - other).round(12)] if paired else [own.round(12), other.round(12)]
    if all(np.ptp(side) == 0 for side in sides):  # no seed changes anything: no spread, whatever the rounding
        return float(sides[0][0] == (0 if paired else sides[1][0]))
    return float((ttest_rel(own, other) if paired else ttest_ind(own, other, equal_var=False)).pvalue)


def effect_size(change: Floats) -> float:
    """Cohen's d of paired differences: their mean over their standard deviation; 0 where all are 0.

    Args:
        change: ``float64 [U]``: by how much the figure of every user differs.

    Example:
        >>> effect_size(np.array([1.0, 0.0, 0.0, 0.0]))
        0.5
    """
    if len(change) < 2:
        return float("nan")
    if not change.any():
        return 0.0
    mean, deviation = change.mean(), change.std(ddof=1)
    return float(mean / deviation) if deviation else math.copysign(math.inf, mean)


def detectable(change: Floats, comparisons: int = 1) -> float:
    """The smallest true difference that so many users show with 80 % power at the 5 % level, were it one of several.

    ``(z_(1 - 0.025 / M) + z_0.8) s / sqrt(U)`` with s the standard deviation over users and M the number of
    comparisons, which is what the first step of Holm's correction asks. Of users alone: where seeds differ, too, more
    is needed.

    Args:
        change: ``float64 [U]``: by how much the figure of every user differs.
        comparisons: How many differences are corrected for together, M.
    """
    if len(change) < 2:
        return float("nan")
    width = ndtri(1 - LEVEL / 2 / comparisons) + ndtri(POWER)
    return float(width * change.std(ddof=1) / len(change) ** 0.5)


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected for their number, so that the chance of any false verdict is at most the level (Holm, 1979).

    Args:
        p: p-values, one per comparison.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p)
    stepped = np.asarray(p)[order] * np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1, np.maximum.accumulate(stepped))
    return [float(value) for value in corrected]
