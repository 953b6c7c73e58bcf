"""A mean over users and seeds, and how far another draw of both would move it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from fedrec.claims.verdict import Interval

Floats = NDArray[np.float64]


def over_users_and_seeds(values: Floats) -> Interval:
    """The mean with a 95 % interval for other users and other seeds.

    Two squared standard errors are added: that of the mean over users of what a user has on average over seeds, and
    that of the mean over seeds of what a seed has on average over users (the first holds a little of the second
    already, so the interval is rather too wide). The quantile is Student's, with Satterthwaite's degrees of freedom
    (*Biometrics Bulletin*, 1946). Of one seed nobody knows what another would give: the interval is then over users
    alone; where there are no users (a figure of a run as a whole, U = 1), over seeds alone.

    Args:
        values: ``float64 [S, U]`` figures of S seeds and U users.

    Returns:
        The interval; of infinite width for one seed and one user.

    Example:
        >>> over_users_and_seeds(np.array([[0.0, 1.0] * 50]))
        Interval(mean=0.5, half=0.0997...)
    """
    parts = [
        (marginal.var(ddof=1) / len(marginal), len(marginal) - 1)
        for marginal in (values.mean(0), values.mean(1))
        if len(marginal) > 1
    ]
    if not parts:
        return Interval(float(values.mean()), float("inf"))
    error = sum(part for part, _ in parts)
    if not error > 0:
        return Interval(float(values.mean()), 0.0)
    freedom = error**2 / sum(part**2 / own for part, own in parts)
    return Interval(float(values.mean()), float(stdtrit(freedom, 0.975) * error**0.5))
