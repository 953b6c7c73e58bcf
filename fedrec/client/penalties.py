"""Penalties: what is added to a client's gradient to hold its copy of the shared parameters near something.

A penalty acts in every evaluation of the gradient, perturbed points included, on dense parameters and on the item rows
of the step at hand; rows of other steps are not pulled until their own step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from fedrec.client.part import Part, Values
from fedrec.errors import InputError
from fedrec.exchange import Broadcast
from fedrec.models.linear import ShiftedWeight, as_dense
from fedrec.models.recommender import Params


@dataclass(frozen=True)
class Anchor:
    """The parameters near which penalties can hold the clients in one step.

    Attributes:
        sent: Shared side as the server sent it, with the rows of the step's entries.
        broadcast: What the server sent.
        clients: ``int64 [B]`` user indices.
        items: ``int64 [B, S]`` items of the entries (padding: any).
        real: ``bool [B, S, 1]``, False for padding, which stands for some real row: a row is pulled once.
    """

    sent: Values
    broadcast: Broadcast
    clients: Tensor
    items: Tensor
    real: Tensor

    def rows(self, extra: str) -> Tensor:
        """Rows ``[B, S, D]`` of a table that the server sent beside the parameters."""
        table = self.broadcast.extras[extra]
        if isinstance(table, Tensor):
            raise InputError(f"model.client.penalties: the server sends {extra}, but not as a table")
        return table.rows(self.clients, self.items)


class Penalty(ABC):
    """One term of a client's objective beside the loss of its examples."""

    @abstractmethod
    def add(self, gradient: Part, at: Values, anchor: Anchor) -> None:
        """Add the term's gradient, in place.

        Args:
            gradient: Gradient of the shared side, one per client.
            at: Shared side of the point.
            anchor: What the clients can be held to.
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

    def add(self, gradient: Part, at: Values, anchor: Anchor) -> None:
        """See base class."""
        if not self.mu:
            return
        for name, value in at.dense.items():
            base = value
            total = as_dense(gradient.dense[name])
            if isinstance(base, ShiftedWeight):
                total = total + self.mu * base.shift.dense()
                base = base.weight
            gradient.dense[name] = total + self.mu * (base - anchor.sent.dense[name])  # type: ignore[operator]
        pull_rows(gradient.rows, self.mu, at.rows, anchor.sent.rows, anchor.real)


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
