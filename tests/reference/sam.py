"""The SAM family for one client, written out: where its sides are moved, and what becomes of the gradients there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tests.reference.models import Parameters


@dataclass(frozen=True)
class SamOptions:
    """The options of a perturbation.

    Attributes:
        perturb: ``separate``, ``joint``, ``gsam``, ``looksam`` or ``fedlesam``.
        ascent: ``gradient``, ``adaptive`` or ``rows``.
        by_examples: Exponent with which a client's number of examples over ``typical`` shrinks its radii.
        by_frequency: Exponent with which an item's frequency shrinks the radius of its rows.
    """

    rho_shared: float = 0.0
    rho_private: float = 0.0
    perturb: str = "separate"
    ascent: str = "gradient"
    eta: float = 0.01
    alpha: float = 0.4
    every: int = 2
    by_examples: float = 0.0
    typical: float = 1.0
    by_frequency: float = 0.0


@dataclass(frozen=True)
class Extras:
    """What the server sends beside the parameters: its last step, and how frequent each item is, ``[I, 1]``."""

    last_update: Parameters
    frequency: Tensor


@dataclass(frozen=True)
class Evaluated:
    """Loss and gradients at one point."""

    loss: float
    shared: Parameters
    private: Parameters


Evaluate = Callable[[Parameters, Parameters], Evaluated]
Three = tuple[Evaluated, Evaluated, Evaluated]


@dataclass(frozen=True)
class Direction:
    """Along what a side is moved, and by what that is divided: dense parameters, and rows, each or all alike."""

    along: Parameters
    dense_length: float
    row_length: Tensor | float


def norm(*sides: Parameters) -> float:
    """Return the Euclidean norm over all entries of all given parameters together."""
    return sum(float(value.square().sum()) for side in sides for value in side.values()) ** 0.5


def inner(one: Parameters, other: Parameters) -> float:
    """Return the inner product over all entries."""
    return sum(float((value * other[name]).sum()) for name, value in one.items())


def plus(one: Parameters, factor: float, other: Parameters) -> Parameters:
    """Return ``one + factor * other``."""
    return {name: value + factor * other[name] for name, value in one.items()}


def across(one: Parameters, other: Parameters) -> Parameters:
    """Return the component of ``one`` that is orthogonal to ``other``."""
    return plus(one, -inner(one, other) / (norm(other) + 1e-12) ** 2, other)


class Sam:
    """One client's perturbations during one round.

    Args:
        options: Which.
        tables: Names of the parameters with a row per item.
        extras: What the server sent.
        examples: How many examples the client has.
    """

    def __init__(self, options: SamOptions, tables: tuple[str, ...], extras: Extras, examples: int) -> None:
        self.options, self.tables, self.extras = options, tables, extras
        self.radii = options.rho_shared, options.rho_private
        self.of_client = (examples / options.typical) ** -options.by_examples
        self.kept: dict[int, Parameters | None] = {}

    def gradients(
        self,
        evaluate: Evaluate,
        shared: Parameters,
        private: Parameters,
        items: Tensor,
        number: int,
        sides: tuple[int, ...] = (0, 1),
    ) -> Three:
        """Evaluate the base point and the points that give the shared and the private gradient, in step ``number``.

        A side that is not perturbed, or that is not among the ``sides``, takes its gradient from the base point.
        """
        if self.options.perturb == "fedlesam":
            uphill = {name: -self.read(name, value, items) for name, value in self.extras.last_update.items()}
            length = norm(uphill)
            found = evaluate(self.moved(shared, Direction(uphill, length, length), self.radii[0]), private)
            return found, found, found
        base = evaluate(shared, private)
        of_shared, of_private = self.direction(shared, base.shared), self.direction(private, base.private)
        if self.options.perturb == "joint":
            dense = (of_shared.dense_length**2 + of_private.dense_length**2) ** 0.5
            rows = (of_shared.row_length**2 + of_private.row_length**2) ** 0.5
            there = evaluate(
                self.moved(shared, Direction(of_shared.along, dense, rows), self.radii[0]),
                self.moved(private, Direction(of_private.along, dense, rows), self.radii[1]),
            )
            return base, there, there
        shared_side = private_side = Evaluated(float("nan"), base.shared, base.private)
        if self.radii[0] > 0 and 0 in sides:
            there = evaluate(self.moved(shared, of_shared, self.radii[0]), private)
            loss, used = self.used(0, base.loss, there.loss, base.shared, there.shared, items, number)
            shared_side = Evaluated(loss, used, {})
        if self.radii[1] > 0 and 1 in sides:
            there = evaluate(shared, self.moved(private, of_private, self.radii[1]))
            loss, used = self.used(1, base.loss, there.loss, base.private, there.private, items, number)
            private_side = Evaluated(loss, {}, used)
        return base, shared_side, private_side

    def used(
        self,
        side: int,
        base_loss: float,
        there_loss: float,
        base: Parameters,
        there: Parameters,
        items: Tensor,
        number: int,
    ) -> tuple[float, Parameters]:
        """Return the loss that is seen and the gradient with which a side steps, of those at both points."""
        options = self.options
        if options.perturb == "gsam":
            return there_loss, plus(there, -options.alpha, across(base, there))
        if options.perturb == "looksam" and number % options.every == 0:
            aside = across(there, base)
            self.kept[side] = aside if norm(aside) > 1e-5 * norm(there) else None
        elif options.perturb == "looksam":
            aside = self.kept[side]
            if aside is None:
                return base_loss, base
            here = {name: self.read(name, value, items) for name, value in aside.items()}
            return base_loss, plus(base, options.alpha * norm(base) / norm(aside), here)
        return there_loss, there

    def direction(self, values: Parameters, gradient: Parameters) -> Direction:
        """Return where a side is moved."""
        if self.options.ascent == "adaptive":
            scale = {n: torch.ones_like(v) if "bias" in n else v.abs() + self.options.eta for n, v in values.items()}
            length = norm({name: scale[name] * value for name, value in gradient.items()})
            return Direction({name: scale[name] ** 2 * value for name, value in gradient.items()}, length, length)
        if self.options.ascent == "rows":
            tables = [value for name, value in gradient.items() if name in self.tables]
            dense = {name: value for name, value in gradient.items() if name not in self.tables}
            rows = torch.cat(tables, 1).norm(dim=1, keepdim=True) if tables else 0.0
            return Direction(gradient, norm(dense), rows)
        return Direction(gradient, norm(gradient), norm(gradient))

    def moved(self, values: Parameters, direction: Direction, rho: float) -> Parameters:
        """Return ``values + rho * factors * along / (length + 1e-12)``."""
        found = {}
        for name, value in values.items():
            if name in self.tables:
                of_rows = self.extras.frequency**-self.options.by_frequency
                how_far = rho * self.of_client * of_rows / (direction.row_length + 1e-12)
            else:
                how_far = rho * self.of_client / (direction.dense_length + 1e-12)
            found[name] = value + how_far * direction.along[name]
        return found

    def read(self, name: str, value: Tensor, items: Tensor) -> Tensor:
        """Return what a step reads of a parameter, 0 elsewhere: of a table the rows of its items."""
        if name not in self.tables:
            return value
        touched = torch.zeros(len(value), 1, dtype=value.dtype)
        touched[items] = 1
        return value * touched
