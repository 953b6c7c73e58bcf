"""Points in parameter space, and gradients.

Both consist of two sides, the shared one and the private one. The sides are built alike, of dense parameters and item
rows, so that SAM and the optimisers are written once for either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fedrec.models.linear import Gradient, OuterProducts, ShiftedWeight, Weight, as_dense, by_client
from fedrec.models.recommender import Params

# Gradients of fewer numbers a client are put together for their norm: an operation less each, and little to copy.
SMALL = 1024


@dataclass(frozen=True)
class Values:
    """Parameter values of one side, shared or private, of B clients.

    Attributes:
        dense: Dense parameters: ``[*shape]`` the same for all clients, or ``[B, *shape]``.
        rows: Item rows of the step's entries, ``[B, S, D]`` by table.
    """

    dense: dict[str, Weight]
    rows: Params

    def only(self, entries: slice) -> Values:
        """The same values, with the item rows of some of the entries alone."""
        return Values(self.dense, {name: value[:, entries] for name, value in self.rows.items()})

    def moved(self, along: Part, dense_scale: Tensor, row_scale: Tensor) -> Values:
        """``value + scale * gradient``, with factors for each client.

        The gradient is used up: the moved item rows are written into the memory of its row gradients. These are the
        largest tensors of a step and nothing reads them afterwards, so a second copy would only cost time and memory.

        Args:
            along: Gradient of this side, one per client.
            dense_scale: ``[B]`` how far dense parameters move along it.
            row_scale: ``[B]``, or ``[B, S]`` one for each entry: how far item rows do.
        """
        dense = {name: _shifted(value, along.dense[name], dense_scale) for name, value in self.dense.items()}
        rows = {
            n: torch.addcmul(x, by_client(row_scale, x), along.rows[n], out=along.rows[n]) for n, x in self.rows.items()
        }
        return Values(dense, rows)


@dataclass(frozen=True)
class Part:
    """Gradient of one side; empty if it was not asked for, or if the side has no parameters.

    Attributes:
        dense: Gradients of dense parameters: summed over the clients, ``[*shape]``, or one per client, ``[B, *shape]``
            or as :class:`~fedrec.models.linear.OuterProducts`.
        rows: Gradients of the entries' item rows, ``[B, S, D]`` by table. They are always per client, since each entry
            belongs to one.
    """

    dense: dict[str, Gradient]
    rows: Params

    def norm(self) -> Tensor:
        """Norm of each client's gradient, ``[B]``, over dense parameters and item rows together.

        It needs dense gradients per client: a sum over the clients has lost their norms.
        """
        return norm([*self.dense.values(), *self.rows.values()])


@dataclass(frozen=True)
class Point:
    """The parameters at which B clients evaluate a step of their training.

    Attributes:
        shared: Shared side.
        private: Private side.
        features: Features ``[B, S, K]`` of the entries' items, computed once for all clients from the shared
            parameters (see ``Recommender.item_features``); empty where the clients' shared parameters differ.
    """

    shared: Values
    private: Values
    features: Params

    def only(self, entries: slice) -> Point:
        """The same point for some of the entries."""
        features = {name: value[:, entries] for name, value in self.features.items()}
        return Point(self.shared.only(entries), self.private.only(entries), features)

    def with_shared(self, shared: Values) -> Point:
        """The point with another shared side; without features, which were computed from the old one."""
        return replace(self, shared=shared, features={})

    def with_private(self, private: Values) -> Point:
        """The point with another private side."""
        return replace(self, private=private)


@dataclass(frozen=True)
class Gradients:
    """Logits ``[B, S]`` at a point and the gradients of both sides."""

    logits: Tensor
    shared: Part
    private: Part

    @staticmethod
    def joined(slices: Iterator[Gradients]) -> Gradients:
        """Put the gradients of the slices of a step together.

        Logits and item rows of the slices stand side by side; gradients of dense parameters add up.
        """
        first = next(slices)
        logits, sides = [first.logits], (_Joining(first.shared), _Joining(first.private))
        for part in slices:
            logits.append(part.logits)
            sides[0].add(part.shared)
            sides[1].add(part.private)
        return Gradients(torch.cat(logits, 1), sides[0].whole(), sides[1].whole())


class _Joining:
    """One side's gradient while slices come in; the dense gradient of a slice is freed when it has been added."""

    def __init__(self, first: Part) -> None:
        self._dense = {name: as_dense(gradient) for name, gradient in first.dense.items()}
        self._rows = {name: [rows] for name, rows in first.rows.items()}

    def add(self, part: Part) -> None:
        """Take the next slice."""
        self._dense = {name: total + as_dense(part.dense[name]) for name, total in self._dense.items()}
        for name, rows in self._rows.items():
            rows.append(part.rows[name])

    def whole(self) -> Part:
        """The gradient of the whole step."""
        return Part(dict(self._dense), {name: torch.cat(rows, 1) for name, rows in self._rows.items()})


def norm(gradients: Sequence[Gradient]) -> Tensor:
    """Norm per client, ``[B]``, over several gradients ``[B, *shape]`` or in factors; 0 if there are none."""
    flat = [g.flatten(1) if g.dim() > 1 else g[:, None] for g in gradients if not isinstance(g, OuterProducts)]
    large = [g for g in flat if g.shape[1] >= SMALL]
    small = [g for g in flat if g.shape[1] < SMALL]  # biases and the like
    norms = [torch.linalg.vector_norm(g, dim=1) for g in (*large, *([torch.cat(small, 1)] if small else []))]
    norms += [g.norm() for g in gradients if isinstance(g, OuterProducts)]
    if not norms:
        return torch.zeros(())
    total: Tensor = norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms), dim=0)
    return total


def _shifted(value: Weight, gradient: Gradient, scale: Tensor) -> Weight:
    if isinstance(gradient, OuterProducts):
        return ShiftedWeight(value, gradient.scaled(scale))  # type: ignore[arg-type]
    return torch.addcmul(value, by_client(scale, gradient), gradient)  # type: ignore[arg-type]
