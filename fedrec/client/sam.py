"""Sharpness-aware minimisation for clients with shared and private parameters.

Source: FedRecGEL, arXiv:2603.11503 (two radii, one per side), after Foret et al., arXiv:2010.01412. A point is moved to
``theta + rho g / (||g|| + 1e-12)`` and the gradient is taken there. A zero gradient or rho = 0 leaves the point unmoved
and the gradient at the point itself is used: rho = 0 is the base optimiser bit for bit. With one radius above 0 and the
other 0 this is one-sided SAM; that on the shared side alone is FedSAM (Qu et al., ICML 2022, arXiv:2206.02618).

The family is made of three choices. Where and how far a side is moved is an ``Ascent`` with ``RadiusScale`` factors
(see :mod:`fedrec.client.ascent`). At which point its gradient is taken says the ``Perturbation``: ``Separate`` and
``Joint`` here. What becomes of that gradient is said by a subclass of ``Separate``: GSAM, LookSAM. FedLESAM has no
first gradient.

The two sides are built alike, so everything is written once for either. SAM on the shared side needs the first gradient
client by client: every client divides by the norm of its own gradient, and a sum over clients has lost these norms. The
second gradient, at the moved point, is only uploaded; where the server takes sums, it may be a sum over clients, which
is much cheaper for dense parameters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from enum import Enum

import torch

from fedrec.client.ascent import AlongGradient, Ascent, Direction, RadiusScale, displaced
from fedrec.client.context import StepContext
from fedrec.client.objective import Objective
from fedrec.client.part import Gradients, Part, Point
from fedrec.models.linear import as_dense
from fedrec.models.recommender import Uploads


@dataclass(frozen=True)
class Radii:
    """How far each side is moved; 0 leaves it unmoved."""

    shared: float
    private: float


@dataclass(frozen=True)
class Request:
    """What a step asks of its perturbation: the gradients of one side or of both, at a point.

    Attributes:
        objective: The step's loss.
        point: (theta_u, phi_u) of the bucket's clients.
        radii: How far each side is moved.
        uploads: How the shared dense gradients that are used are to be given. None: the shared side takes no step.
        private: Whether the private side takes a step.
        context: The step: its number, its items, what the server sent, what earlier steps remembered.
    """

    objective: Objective
    point: Point
    radii: Radii
    uploads: Uploads | None
    private: bool
    context: StepContext


@dataclass(frozen=True)
class StepGradients:
    """Gradients of one step: at the point itself, and those with which each side steps (the same where rho is 0).

    The loss at ``for_shared`` minus that at ``base`` is the sharpness that SAM on the shared side sees; likewise for
    the private side.

    Attributes:
        base: Logits and gradients at the point itself. Where rho is above 0, the perturbation has written the moved
            item rows over its row gradients: of ``base`` only the logits can still be used.
        for_shared: What the shared side uses.
        for_private: What the private side uses.
    """

    base: Gradients
    for_shared: Gradients
    for_private: Gradients


class Side(Enum):
    """One of the two sides of a point and of its gradients."""

    SHARED = "shared"
    PRIVATE = "private"

    def gradient(self, gradients: Gradients) -> Part:
        """This side's gradient."""
        return gradients.shared if self is Side.SHARED else gradients.private

    def moved(self, point: Point, direction: Direction, request: Request, scales: list[RadiusScale]) -> Point:
        """The point, moved on this side; uses up the direction's rows."""
        if self is Side.SHARED:
            return point.with_shared(displaced(point.shared, direction, request.radii.shared, scales, request.context))
        return point.with_private(displaced(point.private, direction, request.radii.private, scales, request.context))

    def replaced(self, gradients: Gradients, part: Part, uploads: Uploads | None) -> Gradients:
        """The gradients with another one of this side, per client; its dense ones are summed if that is asked for."""
        if self is Side.PRIVATE:
            return replace(gradients, private=part)
        if uploads == "summed":
            part = Part({name: as_dense(value).sum(0) for name, value in part.dense.items()}, part.rows)
        return replace(gradients, shared=part)

    def evaluated(self, request: Request, point: Point, uploads: Uploads | None) -> Gradients:
        """Logits and this side's gradient at a point."""
        return request.objective(point, uploads if self is Side.SHARED else None, private=self is Side.PRIVATE)


class Perturbation(ABC):
    """From a point to the gradients that a step uses, for all clients of a bucket at once.

    A variant of SAM is a class like these in a file named after its paper.

    Args:
        ascent: Where a side is moved: ``AlongGradient`` (also what null means), ``Adaptive`` (ASAM), ``RowWise``
            (EISAM).
        scales: By what the radii are multiplied: ``ByExamples`` (FedSCAM), ``ByFrequency``; null: nothing.

    Attributes:
        joins: Whether both sides are moved to one common point, so that neither can step before the other.
    """

    joins = False

    def __init__(self, ascent: Ascent | None = None, scales: list[RadiusScale] | None = None) -> None:
        self.ascent, self.scales = ascent or AlongGradient(), scales or []

    def check(self, radii: Radii) -> None:  # noqa: B027
        """Refuse radii that this perturbation has no use for.

        Raises:
            InputError: Naming the option.
        """

    def working_floats(self, dense: int, row: int) -> tuple[int, int]:
        """Working memory beyond that of ``Separate`` along the gradient, see ``Ascent.working_floats``."""
        return self.ascent.working_floats(dense, row)

    def direction(self, side: Side, request: Request, base: Gradients) -> Direction:
        """Where a side is moved; ``base`` holds one gradient per client."""
        values = request.point.shared if side is Side.SHARED else request.point.private
        return self.ascent(values, side.gradient(base))

    @abstractmethod
    def gradients(self, request: Request) -> StepGradients:
        """The gradients of one step; a side that takes none has those of ``base``."""


class Separate(Perturbation):
    """Two-sided SAM: neither side's perturbation sees the other's (FedRecGEL, steps 4 and 5 of its round)."""

    def gradients(self, request: Request) -> StepGradients:
        """See base class."""
        radii, uploads = request.radii, request.uploads
        base = request.objective(request.point, "per_client" if uploads and radii.shared else uploads, request.private)
        # Each side consumes its own row gradients of `base`, so the order of the two does not matter.
        for_private = self.of_side(Side.PRIVATE, request, base) if request.private and radii.private else base
        for_shared = self.of_side(Side.SHARED, request, base) if uploads and radii.shared else base
        return StepGradients(base, for_shared, for_private)

    def of_side(self, side: Side, request: Request, base: Gradients) -> Gradients:
        """The gradient with which a side steps whose radius is above 0; ``base`` holds one gradient per client."""
        moved = side.moved(request.point, self.direction(side, request, base), request, self.scales)
        return side.evaluated(request, moved, request.uploads)


class Joint(Perturbation):
    """SAM with one norm over both sides and both gradients at the one moved point; two passes instead of three.

    Each side is moved by its own radius over the common norm: with equal radii this is SAM on all parameters at once.
    """

    joins = True

    def gradients(self, request: Request) -> StepGradients:
        """See base class."""
        radii, point = request.radii, request.point
        if not (radii.shared or radii.private):
            base = request.objective(point, request.uploads, request.private)
            return StepGradients(base, base, base)
        base = request.objective(point, "per_client", private=True)
        shared, private = (self.direction(side, request, base) for side in Side)
        norms = torch.hypot(shared.dense_norm, private.dense_norm), torch.hypot(shared.row_norm, private.row_norm)
        moved = Side.PRIVATE.moved(point, Direction(private.along, *norms), request, self.scales)
        moved = Side.SHARED.moved(moved, Direction(shared.along, *norms), request, self.scales)
        at_moved = request.objective(moved, request.uploads, private=True)
        return StepGradients(base, at_moved, at_moved)
