"""Penalties: what is added to a client's gradient to hold its copy of the shared parameters near something.

A penalty acts in every evaluation of the gradient, perturbed points included, on dense parameters and on the item rows
of the step at hand; rows of other steps are not pulled until their own step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from fedrec.client.part import Part, Values
from fedrec.errors import InputError
from fedrec.models.linear import ShiftedWeight, as_dense
from fedrec.models.recommender import Params


class Penalty(ABC):
    """One term of a client's objective beside the loss of its examples."""

    @abstractmethod
    def add(self, gradient: Part, at: Values, start: Values, real: Tensor) -> None:
        """Add the term's gradient, in place.

        Args:
            gradient: Gradient of the shared side, one per client.
            at: Shared side of the point.
            start: Shared side from which the clients started, rows of the same entries.
            real: ``bool [B, S, 1]``, False for padding.
        """


class Proximal(Penalty):
    """``mu / 2 ||theta_u - theta||^2``: FedProx (Li et al., arXiv:1812.06127, equation 2).

    Deviation: an item row is pulled only in steps that have one of its examples.

    Args:
        mu: Strength, at least 0; 0 leaves the gradient as it is.
    """

    def __init__(self, mu: float) -> None:
        if not 0 <= mu < float("inf"):
            raise InputError(f"model.client.penalties: Proximal.mu={mu}: expected a finite number of at least 0")
        self.mu = mu

    def add(self, gradient: Part, at: Values, start: Values, real: Tensor) -> None:
        """See base class."""
        if not self.mu:
            return
        for name, value in at.dense.items():
            base = value
            total = as_dense(gradient.dense[name])
            if isinstance(base, ShiftedWeight):
                total = total + self.mu * base.shift.dense()
                base = base.weight
            gradient.dense[name] = total + self.mu * (base - start.dense[name])  # type: ignore[operator]
        pull_rows(gradient.rows, self.mu, at.rows, start.rows, real)


def pull_rows(gradient: Params, strength: float, rows: Params, target: Params, real: Tensor) -> None:
    """Add ``strength (rows - target)`` to gradients of item rows, in place.

    Args:
        gradient: Gradients ``[B, S, D]`` by table.
        strength: How hard rows are pulled.
        rows: The rows.
        target: What they are pulled to.
        real: ``bool [B, S, 1]``, False for padding.
    """
    for name, value in rows.items():
        # The difference first: where nothing has moved it is exactly 0, which Adam would tell from nearly 0.
        gradient[name].add_((value - target[name]) * real, alpha=strength)
