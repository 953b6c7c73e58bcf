"""A mean over users and seeds, and how far another draw of both would move it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from fedrec.claims.verdict import Interval

Floats = NDArray[np.float64]


def over_users_and_seeds(values: Floats) -> Interval:
    """The mean with a 95 % interval for other users and other seeds.

    Two squared standard errors are added: that of the mean over users of what a user has on average over seeds, and
    that of the mean over seeds of what a seed has on average over users. The quantile is Student's, with
    Satterthwaite's degrees of freedom (*Biometrics Bulletin*, 1946). These are too many where few seeds make most of
    the spread, so the interval is never narrower than Student's over seeds alone; where users make most of it, it is
    rather too wide, for the first error holds a little of the second already. Of one seed nobody knows what another
    would give: the interval is then over users alone; where there are no users (a figure of a run as a whole, U = 1),
    over seeds alone.

    Args:
        values: ``float64 [S, U]`` figures of S seeds and U users.

    Returns:
        The interval; of infinite width for one seed and one user.

    Example:
        >>> over_users_and_seeds(np.array([[0.0, 1.0] * 50]))
        Interval(mean=0.5, half=0.0997...)
    """
    spreads = _spreads(values)
    if not spreads:
        return Interval(float(values.mean()), float("inf"))
    return Interval(float(values.mean()), float(max(stdtrit(own, 0.975) * error**0.5 for error, own in spreads)))


def p_value(values: Floats) -> float:
    """Two-sided p-value of a mean of 0, at most 0.05 where the interval of :func:`over_users_and_seeds` leaves out 0.

    Args:
        values: ``float64 [S, U]`` differences of S seeds and U users.

    Returns:
        The p-value; NaN for one seed and one user.

    Example:
        >>> round(p_value(np.array([[0.0, 1.0, 1.0, 2.0, 0.0, 1.0]])), 3)
        0.042
    """
    mean = float(values.mean())
    if not (spreads := _spreads(values)):
        return float("nan")
    return float(max(2 * stdtr(own, -abs(mean) / error**0.5) if error else float(mean == 0) for error, own in spreads))


def _spreads(values: Floats) -> list[tuple[float, float]]:
    """Squared standard errors of the mean with their degrees of freedom: over seeds alone, and over both."""
    errors: list[tuple[float, float]] = [
        (float(marginal.var(ddof=1)) / len(marginal), len(marginal) - 1)
        for marginal in (values.mean(1), values.mean(0))
        if len(marginal) > 1
    ]
    error = sum(part for part, _ in errors)
    if len(errors) < 2 or not error > 0:
        return errors[:1]
    return [errors[0], (error, error**2 / sum(part**2 / own for part, own in errors))]
