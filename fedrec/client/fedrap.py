"""FedRAP's regularisers: a client's own table stands apart from the common one, which is small in most entries.

Source: Li, Long, Zhou, *Federated Recommendation with Additive Personalization*, ICLR 2024, arXiv:2301.09109, and its
published code. A client minimises ``BCE - lambda mean (D_B - C_B)^2 + mu mean |C_B|``, means over the numbers in the
rows of a batch's examples. Deviation from the paper, as in the published code: lambda and mu are constant, where the
paper raises them from round to round (the code computes that curriculum and never uses it). The first term is unbounded
below: with high rates clients can diverge, who are left out, and a round that loses too many stops the run.

An example's weight in its step is one over the size of its block, so where a batch is one block, a sum over entries
with their weights is a mean over the batch's examples; anything else is refused.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fedrec.client.context import StepContext
from fedrec.client.part import Gradients, Point
from fedrec.client.penalties import Penalty
from fedrec.errors import InputError
from fedrec.models.recommender import Recommender


class Apart(Penalty):
    """``-strength mean (own - common)^2`` over the rows of a batch's examples: a client's table and the shared one.

    Args:
        strength: lambda, at least 0.
        own: Name of the private item table.
        common: Name of the shared one.
    """

    is_mean = True

    def __init__(self, strength: float, own: str = "personal", common: str = "common") -> None:
        _check_strength("Apart", strength)
        self.strength, self.own, self.common = strength, own, common

    def check(self, recommender: Recommender) -> None:
        """See base class."""
        _check_table("Apart.own", self.own, recommender, recommender.private_tables)
        _check_table("Apart.common", self.common, recommender, recommender.item_tables)

    def add(self, gradients: Gradients, point: Point, context: StepContext) -> None:
        """See base class."""
        distance = point.private.rows[self.own] - point.shared.rows[self.common]
        distance *= context.step.weight[..., None]
        factor = 2 * self.strength / distance.shape[2]
        if self.common in gradients.shared.rows:
            gradients.shared.rows[self.common].add_(distance, alpha=factor)
        if self.own in gradients.private.rows:
            gradients.private.rows[self.own].add_(distance, alpha=-factor)

    def value(self, point: Point, context: StepContext) -> Tensor:
        """See base class."""
        distance = point.private.rows[self.own] - point.shared.rows[self.common]
        return _mean(distance.square_(), context) * -self.strength


class Sparse(Penalty):
    """``strength mean |common|`` over the rows of a batch's examples of a shared table.

    Args:
        strength: mu, at least 0.
        common: Name of the table.
    """

    is_mean = True

    def __init__(self, strength: float, common: str = "common") -> None:
        _check_strength("Sparse", strength)
        self.strength, self.common = strength, common

    def check(self, recommender: Recommender) -> None:
        """See base class."""
        _check_table("Sparse.common", self.common, recommender, recommender.item_tables)

    def add(self, gradients: Gradients, point: Point, context: StepContext) -> None:
        """See base class; the derivative of ``|x|`` at 0 is 0, as PyTorch has it."""
        rows = point.shared.rows[self.common]
        if self.common in gradients.shared.rows:
            share = context.step.weight[..., None]
            gradients.shared.rows[self.common].addcmul_(rows.sign(), share, value=self.strength / rows.shape[2])

    def value(self, point: Point, context: StepContext) -> Tensor:
        """See base class."""
        return _mean(point.shared.rows[self.common].abs(), context) * self.strength


def _mean(rows: Tensor, context: StepContext) -> Tensor:
    """Mean ``[B]`` over the numbers in the rows ``[B, S, D]`` of a batch's examples."""
    # A product first: sums over the short last axis take five times as long.
    return torch.bmm(context.step.weight[:, None], rows).sum((1, 2)) / rows.shape[2]


def _check_strength(name: str, strength: float) -> None:
    if not 0 <= strength < float("inf"):
        raise InputError(f"model.client.penalties: {name}.strength={strength}: expected a finite number of at least 0")


def _check_table(option: str, name: str, recommender: Recommender, tables: tuple[str, ...]) -> None:
    if name not in tables:
        raise InputError(
            f"model.client.penalties: {option}={name}: {type(recommender).__name__} has no such table; "
            f"it has {', '.join(tables) or 'none of the kind'}"
        )
