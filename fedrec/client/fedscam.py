"""Radii by client: FedSCAM's idea in the form that needs nothing but the client's own number of examples.

Source: *FedSCAM*, arXiv:2601.00853, where a client's radius is inverse to its heterogeneity, as it is measured in a
round before. Deviation: what is measured here is a client's number of examples n_u in the round, negatives included:
``rho_u = rho (n_u / typical)^-exponent``. The fewer examples, the less a client's gradient says about others.
"""

from __future__ import annotations

from fedrec.client.ascent import Factors, RadiusScale
from fedrec.client.context import StepContext
from fedrec.errors import InputError


class ByExamples(RadiusScale):
    """Clients have the radius ``rho (n_u / typical)^-exponent``, on both sides and for all parameters.

    Args:
        exponent: 0.5 is the inverse of the root; 0 is neutral.
        typical: Number of examples above 0 at which the radius is rho itself.
    """

    def __init__(self, exponent: float = 0.5, typical: float = 1.0) -> None:
        if not -float("inf") < exponent < float("inf"):
            raise InputError(f"model.client.perturbation.scales: ByExamples.exponent={exponent}: not a finite number")
        if not 0 < typical < float("inf"):
            raise InputError(
                f"model.client.perturbation.scales: ByExamples.typical={typical}: expected a finite number above 0"
            )
        self.exponent, self.typical = exponent, typical

    def __call__(self, context: StepContext) -> Factors:
        """See base class."""
        if not self.exponent:
            return Factors()
        relative = context.bucket.examples.double() / self.typical
        return Factors(clients=relative.pow(-self.exponent).to(context.step.weight))
