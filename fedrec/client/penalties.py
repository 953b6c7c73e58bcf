"""Penalties: terms of a client's objective beside the loss of its examples.

A penalty acts in every evaluation of the gradient, perturbed points included, on dense parameters and on the item rows
of the step at hand, shared and private; rows of other steps are not pulled until their own step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from fedrec.client.context import StepContext
from fedrec.client.part import Gradients, Point
from fedrec.errors import InputError
from fedrec.models.linear import ShiftedWeight, Weight, as_dense
from fedrec.models.recommender import Params, Recommender


class Penalty(ABC):
    """One term of a client's objective beside the loss of its examples.

    Attributes:
        is_mean: Whether it is a mean over a batch's examples, which it takes with the weights of the step's entries: a
            batch must then be one block of the loss, whose weights add up to 1.
    """

    is_mean = False

    def check(self, recommender: Recommender) -> None:  # noqa: B027
        """Refuse a recommender that lacks what the term is about.

        Raises:
            InputError: Naming the option.
        """

    @abstractmethod
    def add(self, gradients: Gradients, point: Point, context: StepContext) -> None:
        """Add the term's gradient, in place.

        Args:
            gradients: Gradients of both sides, one per client; a side that was not asked for is empty.
            point: Where they are taken.
            context: The step, and what the server sent.
        """

    @abstractmethod
    def value(self, point: Point, context: StepContext) -> Tensor:
        """The term's value for each client, ``[B]``; asked for where clients look at what they minimise.

        Args:
            point: Where it is taken.
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
            distance = _distance(point.shared.dense[name], sent.dense[name])
            shared.dense[name] = as_dense(gradient) + self.mu * distance
        pull_rows(shared.rows, self.mu, point.shared.rows, sent.rows, context.real)

    def value(self, point: Point, context: StepContext) -> Tensor:
        """See base class."""
        at, sent, clients = point.shared, context.sent, len(context.real)
        distances = [(rows - sent.rows[name]) * context.real for name, rows in at.rows.items()]
        for name, value in at.dense.items():
            distances.append(_distance(value, sent.dense[name]).expand(clients, *sent.dense[name].shape))  # type: ignore[union-attr]
        return self.mu / 2 * torch.stack([d.reshape(clients, -1).square().sum(1) for d in distances]).sum(0)


def _distance(value: Weight, sent: Weight) -> Tensor:
    """How far a dense parameter, one for all clients or one for each, is from what the server sent."""
    if isinstance(value, ShiftedWeight):
        return (value.weight - sent) + value.shift.dense()  # type: ignore[operator]
    return value - sent  # type: ignore[operator]


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
