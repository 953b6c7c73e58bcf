"""What became of a claim: a pure function of what was measured.

Every interval is a 95 % interval over users and seeds (:func:`fedrec.claims.estimate.over_users_and_seeds`). First the
claim itself is looked at under its authors' protocol:

==========  ==================================================  =======================================================
answer      claim of a figure: value v, tolerance t             claim of a difference: A above B [by x, tolerance t]
==========  ==================================================  =======================================================
holds       the mean is within t of v                           the interval lies above 0 and reaches x - t
fails       v lies outside the interval widened by t            the interval lies below 0, or above 0 and below x - t
noise                                                           the interval holds 0 and ends below x - t, or no x is
                                                                claimed: there is no difference beyond the noise
open        else: the interval is wider than the tolerance      the interval holds 0 and x - t, or is of infinite width
                                                                (one run and no users): the measurement cannot tell the
                                                                claim from no difference
==========  ==================================================  =======================================================

A claim that fails is *not reproduced*, noise is *within noise*, an open one *cannot be shown by this measurement*. A
claim that holds may still say nothing about the method. It is, in this order,

- *explained by the leak* if the authors' protocol never trains a held-out item as a negative and under ``fair``, with
  all else the same, the claim fails or is noise (settings that were tuned under the leak may overstate the fall); a
  figure that fails because it is higher there is not; where it is open under ``fair``, it *cannot be shown*;
- *explained by popularity* if the interval of the method minus most popular items, user by user, does not lie above 0;
- *explained by repeats* if the protocol leaves held-out items in their users' own training rows, and the interval of
  the method minus recommending what a user already has ("repeat"), user by user, does not lie above 0;
- else *reproduced*.

An interval of infinite width over popularity or repeats (one run and no users) *cannot* show either.

Of a claim of a cost (that B loses what A has: to an attack, to noise) neither repeats nor popularity are asked: that A
is no better than they are does not explain what B loses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
NOISE = "within noise"
POPULARITY = "explained by popularity"
REPEATS = "explained by repeats"
LEAK = "explained by the leak"
CANNOT = "cannot be shown by this measurement"
NOT_MEASURED = "not measured"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, NOISE, POPULARITY, REPEATS, LEAK, CANNOT, NOT_MEASURED)

Answer = Literal["holds", "fails", "noise", "open"]


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval.

    Attributes:
        mean: The mean.
        half: Half of the interval's width.
    """

    mean: float
    half: float

    @property
    def low(self) -> float:
        """Lower end."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """Upper end."""
        return self.mean + self.half

    def __str__(self) -> str:
        """In four digits."""
        return f"{self.mean:.4f} ± {self.half:.4f}"


@dataclass(frozen=True)
class Asserted:
    """What is claimed: that a figure has a value, or that A is above B.

    Attributes:
        value: The figure; None: the claim is of a difference.
        by: How much A is above B; None: by anything.
        tolerance: How far off a figure or a difference may be, at least 0.
        cost: Whether the claim is about what B loses, not about what A gains.
    """

    value: float | None = None
    by: float | None = None
    tolerance: float = 0.0
    cost: bool = False


@dataclass(frozen=True)
class Evidence:
    """What was measured for a claim under one protocol.

    Attributes:
        figure: The method's figure, A's in a claim of a difference.
        difference: A minus B, turned so that above 0 is what is claimed; None: the claim is of a figure.
        over_popular: The method minus most popular items; None where there is no such figure.
        over_repeat: The method minus recommending what a user already has; None where the protocol leaves no repeats.
        leaks: Whether training negatives avoid held-out items.
    """

    figure: Interval
    difference: Interval | None = None
    over_popular: Interval | None = None
    over_repeat: Interval | None = None
    leaks: bool = False


def answer(claim: Asserted, found: Evidence) -> Answer:
    """Whether a claim holds under one protocol; see the table above.

    Example:
        >>> answer(Asserted(value=0.918, tolerance=0.01), Evidence(Interval(0.912, 0.015)))
        'holds'
        >>> answer(Asserted(by=0.002), Evidence(Interval(0.91, 0.01), difference=Interval(0.001, 0.008)))
        'open'
    """
    if claim.value is not None:
        if abs(found.figure.mean - claim.value) <= claim.tolerance:
            return "holds"
        outside = abs(found.figure.mean - claim.value) > found.figure.half + claim.tolerance
        return "fails" if outside else "open"
    if found.difference is None:
        raise ValueError("a claim of a difference needs one")
    difference = found.difference
    if difference.high < 0:
        return "fails"
    reaches = claim.by is None or difference.high >= claim.by - claim.tolerance
    if difference.low > 0:
        return "holds" if reaches else "fails"
    unknown = math.isinf(difference.half)
    return "open" if reaches and (claim.by is not None or unknown) else "noise"


def verdict(claim: Asserted, paper: Evidence | None, fair: Evidence | None) -> str:
    """The verdict on a claim, one of :data:`VERDICTS`.

    Args:
        claim: What is claimed.
        paper: What was measured under its authors' protocol; None: a run is missing.
        fair: What was measured under ``fair``; None: a run is missing.

    Example:
        >>> same_as_popular = Evidence(Interval(0.912, 0.015), over_popular=Interval(-0.001, 0.003))
        >>> verdict(Asserted(value=0.918, tolerance=0.01), same_as_popular, same_as_popular)
        'explained by popularity'
    """
    if paper is None or (paper.leaks and fair is None):
        return NOT_MEASURED
    found = answer(claim, paper)
    if found != "holds":
        return {"fails": NOT_REPRODUCED, "noise": NOISE, "open": CANNOT}[found]
    if paper.leaks and fair is not None:
        without = answer(claim, fair)
        if without == "open":
            return CANNOT
        if without != "holds" and (claim.value is None or fair.figure.mean < claim.value):
            return LEAK
    if claim.cost:
        return REPRODUCED
    for over, explained in ((paper.over_popular, POPULARITY), (paper.over_repeat, REPEATS)):
        if over is not None and over.low <= 0:
            return CANNOT if math.isinf(over.half) else explained
    return REPRODUCED
