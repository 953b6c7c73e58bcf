"""A client's loss and its gradients at a point, for a bucket of clients at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import softplus

from fedrec.client.plan import Step
from fedrec.models.linear import Gradient, OuterProducts, ShiftedWeight, Weight, as_dense, by_client
from fedrec.models.recommender import Params, Recommender, Reduce

# Gradients of fewer numbers a client are put together for their norm: an operation less each, and little to copy.
SMALL = 1024


@dataclass(frozen=True)
class Point:
    """Where B clients stand in parameter space.

    Attributes:
        dense: Shared dense parameters, ``[*shape]`` or one per client ``[B, *shape]``.
        rows: Shared item rows of the clients, ``[B, S, D]``.
        features: What follows from items and ``dense`` alone (see ``Recommender.item_features``), ``[B, S, K]``; empty
            where the clients' shared parameters differ.
        private: Private parameters, ``[B, *shape]``.
    """

    dense: dict[str, Weight]
    rows: Params
    features: Params
    private: Params

    def only(self, rows: slice) -> Point:
        """The same point for some of the clients' rows."""
        part = {name: value[:, rows] for name, value in self.rows.items()}
        return replace(self, rows=part, features={name: value[:, rows] for name, value in self.features.items()})

    def shifted_shared(self, gradients: Gradients, scale: Tensor) -> Point:
        """The point moved along the shared gradients by ``scale [B]`` of each client; consumes the row gradients."""
        dense = {name: _shifted(value, gradients.dense[name], scale) for name, value in self.dense.items()}
        rows = {
            n: torch.addcmul(x, by_client(scale, x), gradients.rows[n], out=gradients.rows[n])
            for n, x in self.rows.items()
        }
        return replace(self, dense=dense, rows=rows, features={})

    def shifted_private(self, gradients: Gradients, scale: Tensor) -> Point:
        """The point moved along the private gradients by ``scale [B]`` of each client."""
        moved = {n: torch.addcmul(x, by_client(scale, x), gradients.private[n]) for n, x in self.private.items()}
        return replace(self, private=moved)


@dataclass(frozen=True)
class Gradients:
    """Logits ``[B, S]`` and gradients; a side that was not asked for is empty.

    Dense gradients are summed over clients ``[*shape]`` or one per client (``[B, *shape]`` or factored); row gradients
    ``[B, S, D]`` and private ones ``[B, *shape]`` are always per client.
    """

    logits: Tensor
    dense: dict[str, Gradient]
    rows: Params
    private: Params

    def shared_norm(self) -> Tensor:
        """Norm of each client's shared gradient, ``[B]``: item rows and (per client) dense gradients together."""
        return norm([*self.dense.values(), *self.rows.values()])

    def private_norm(self) -> Tensor:
        """Norm of each client's private gradient, ``[B]``."""
        return norm(list(self.private.values()))


class Objective:
    """The loss of one local step: ``sum_s weight softplus(z_s) - target z_s`` (weighted BCE with logits).

    Args:
        recommender: Computes the logits.
        step: Weights and targets ``[B, S]``.
        max_rows: Rows worked on at once; a step with more is evaluated in slices whose gradients are accumulated.
    """

    def __init__(self, recommender: Recommender, step: Step, max_rows: int) -> None:
        self.recommender = recommender
        self.weight, self.target = step.weight, step.target
        self.max_rows = max_rows if len(step.weight) == 1 else step.weight.shape[1]

    def __call__(self, point: Point, reduce: Reduce | None, private: bool) -> Gradients:
        """Logits and gradients at ``point``.

        Args:
            point: Where.
            reduce: Shared gradients summed over clients, one each, or none.
            private: Whether the private gradients are wanted.
        """
        width = self.weight.shape[1]
        if width <= self.max_rows:
            return self._gradients(point, self.weight, self.target, reduce, private)
        slices = (slice(start, start + self.max_rows) for start in range(0, width, self.max_rows))
        return _joined(
            self._gradients(point.only(rows), self.weight[:, rows], self.target[:, rows], reduce, private)
            for rows in slices
        )

    def loss(self, logits: Tensor) -> Tensor:
        """The loss ``[..., B]`` at logits ``[..., B, S]``."""
        return softplus(logits).mul_(self.weight).addcmul_(self.target, logits, value=-1).sum(-1)

    def _gradients(
        self, point: Point, weight: Tensor, target: Tensor, reduce: Reduce | None, private: bool
    ) -> Gradients:
        logits, pullback = self.recommender.vjp({**point.dense, **point.rows, **point.features}, point.private)
        dshared, dprivate = pullback(torch.sigmoid(logits).mul_(weight).sub_(target), reduce, private)
        found = {name: dshared.pop(name) for name in point.rows} if reduce else {}
        return Gradients(logits, dshared, found, dprivate)


def norm(gradients: Sequence[Gradient]) -> Tensor:
    """Norm per client, ``[B]``, of gradients ``[B, *shape]`` or their factors taken together."""
    flat = [g.flatten(1) if g.dim() > 1 else g[:, None] for g in gradients if not isinstance(g, OuterProducts)]
    large = [g for g in flat if g.shape[1] >= SMALL]
    small = [g for g in flat if g.shape[1] < SMALL]  # biases and the like
    norms = [torch.linalg.vector_norm(g, dim=1) for g in (*large, *([torch.cat(small, 1)] if small else []))]
    norms += [g.norm() for g in gradients if isinstance(g, OuterProducts)]
    total: Tensor = norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms), dim=0)
    return total


def _shifted(value: Weight, gradient: Gradient, scale: Tensor) -> Weight:
    if isinstance(gradient, OuterProducts):
        return ShiftedWeight(value, gradient.scaled(scale))  # type: ignore[arg-type]
    return torch.addcmul(value, by_client(scale, gradient), gradient)  # type: ignore[arg-type]


def _joined(parts: Iterator[Gradients]) -> Gradients:
    """Gradients of one client's step from those of its slices: rows and logits stand side by side, the rest adds up."""
    first = next(parts)
    logits, private = [first.logits], first.private
    dense: dict[str, Gradient] = {name: as_dense(gradient) for name, gradient in first.dense.items()}
    rows = {name: [value] for name, value in first.rows.items()}
    for part in parts:
        logits.append(part.logits)
        dense = {name: total + as_dense(part.dense[name]) for name, total in dense.items()}  # type: ignore[operator]
        private = {name: total + part.private[name] for name, total in private.items()}
        for name, found in rows.items():
            found.append(part.rows[name])
    return Gradients(torch.cat(logits, 1), dense, {name: torch.cat(found, 1) for name, found in rows.items()}, private)
