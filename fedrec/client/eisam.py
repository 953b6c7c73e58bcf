"""Row-wise SAM: every item has a radius of its own, which may depend on how frequent it is.

Source: *EISAM*, arXiv:2603.12752, a penalty on the sharpness of each item weighted by its frequency, for centralised
recommenders. This is its form for SAM on the item rows of a client: ``eps_i = rho f_i^-p g_i / ||g_i||``, where g_i is
the gradient of item i's rows in all tables of a side, f_i the item's frequency relative to the mean and p an exponent.

Deviations: a perturbation in place of a weighted penalty, so that the sharpness of each item counts alike, within its
own radius; dense parameters are one more group with the radius rho. With one norm over all rows, as in SAM, the item
with the largest gradient takes nearly all of the radius.
"""

from __future__ import annotations

import torch

from fedrec.client.ascent import Ascent, Direction, Factors, RadiusScale
from fedrec.client.context import StepContext
from fedrec.client.part import Part, Values, norm
from fedrec.errors import InputError


class RowWise(Ascent):
    """``g_i / ||g_i||`` for each item, and ``g / ||g||`` for dense parameters; the neutral value is rho = 0."""

    def __call__(self, values: Values, gradient: Part) -> Direction:
        """See base class."""
        rows = [torch.linalg.vector_norm(value, dim=2) for value in gradient.rows.values()]
        row_norm = torch.linalg.vector_norm(torch.stack(rows), dim=0) if rows else torch.zeros(())
        return Direction(gradient, norm(list(gradient.dense.values())), row_norm)


class ByFrequency(RadiusScale):
    """Item rows have the radius ``rho f_i^-exponent``; dense parameters keep rho.

    The server says how often item i's rows were uploaded, relative to the mean item: f_i (``sends: RowFrequency``, four
    bytes an item and client, a function of its state). It is 1 for all in the first round.

    Args:
        exponent: 0.5 gives frequent items smaller radii, a negative one larger ones; 0 is neutral.
    """

    def __init__(self, exponent: float = 0.5) -> None:
        if not -float("inf") < exponent < float("inf"):
            raise InputError(f"model.client.perturbation.scales: ByFrequency.exponent={exponent}: not a finite number")
        self.exponent = exponent

    def __call__(self, context: StepContext) -> Factors:
        """See base class."""
        if not self.exponent:
            return Factors()
        return Factors(rows=context.extra("row_frequency")[..., 0].pow(-self.exponent))
