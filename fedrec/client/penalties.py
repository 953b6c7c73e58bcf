"""Penalties: terms of a client's objective beside the loss of its examples.

A penalty acts in every evaluation of the gradient, perturbed points included, on dense parameters and on the item rows
of the step at hand, shared and private; rows of other steps are not pulled until their own step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from fedrec.client.context import StepContext
from fedrec.client.part import Gradients, Point
from fedrec.errors import InputError
from fedrec.models.linear import ShiftedWeight, as_dense
from fedrec.models.recommender import Params


class Penalty(ABC):
    """One term of a client's objective beside the loss of its examples."""

    @abstractmethod
    def add(self, gradients: Gradients, point: Point, context: StepContext) -> None:
        """Add the term's gradient, in place.

        Args:
            gradients: Gradients of both sides, one per client; a side that was not asked for is empty.
            point: Where they are taken.
            context: The step, and what the server sent.
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

    def add(self, gradients: Gradients, point: Point, context: StepContext) -> None:
        """See base class."""
        shared, sent = gradients.shared, context.sent
        if not self.mu:
            return
        for name, gradient in shared.dense.items():
            base, total = point.shared.dense[name], as_dense(gradient)
            if isinstance(base, ShiftedWeight):
                total = total + self.mu * base.shift.dense()
                base = base.weight
            shared.dense[name] = total + self.mu * (base - sent.dense[name])  # type: ignore[operator]
        pull_rows(shared.rows, self.mu, point.shared.rows, sent.rows, context.real)


def pull_rows(gradient: Params, strength: float, rows: Params, target: Params, real: Tensor) -> None:
    """Add ``strength (rows - target)`` to gradients of item rows, in place.

    Args:
        gradient: Gradients ``[B, S, D]`` by table; none: nothing is pulled.
        strength: How hard rows are pulled.
        rows: The rows.
        target: What they are pulled to.
        real: ``bool [B, S, 1]``, False for padding.
    """
    for name, total in gradient.items():
        # The difference first: where nothing has moved it is exactly 0, which Adam would tell from nearly 0.
        total.add_((rows[name] - target[name]) * real, alpha=strength)
