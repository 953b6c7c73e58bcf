"""Sharpness-aware minimisation for clients with shared and private parameters.

Source: FedRecGEL, arXiv:2603.11503 (two radii, one per side), after Foret et al., arXiv:2010.01412. A point is moved to
``theta + rho g / (||g|| + 1e-12)`` and the gradient is taken there. A zero gradient or rho = 0 leaves the point unmoved
and the gradient at the point itself is used: rho = 0 is the base optimiser bit for bit.

The two sides are built alike, so everything is written once for either. SAM on the shared side needs the first gradient
client by client: every client divides by the norm of its own gradient, and a sum over clients has lost these norms. The
second gradient, at the moved point, is only uploaded; where the server takes sums, it may be a sum over clients, which
is much cheaper for dense parameters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from fedrec.client.context import StepContext
from fedrec.client.objective import Objective
from fedrec.client.part import Gradients, Point
from fedrec.models.recommender import Uploads


@dataclass(frozen=True)
class Radii:
    """How far each side is moved; 0 leaves it unmoved."""

    shared: float
    private: float


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


class Perturbation(ABC):
    """From a point to the gradients that a step uses, for all clients of a bucket at once.

    A variant of SAM is a class like these in a file named after its paper.

    Attributes:
        joins: Whether both sides are moved to one common point, so that neither can step before the other.
    """

    joins = False

    @abstractmethod
    def gradients(
        self, objective: Objective, point: Point, radii: Radii, uploads: Uploads, context: StepContext
    ) -> StepGradients:
        """The gradients of one step.

        Args:
            objective: The step's loss.
            point: (theta_u, phi_u) of the bucket's clients.
            radii: How far each side is moved.
            uploads: How the shared dense gradients that are used are to be given.
            context: The step: its number, its items, what the server sent, what earlier steps remembered.
        """


class Separate(Perturbation):
    """Two-sided SAM: neither side's perturbation sees the other's (FedRecGEL, steps 4 and 5 of its round)."""

    def gradients(
        self, objective: Objective, point: Point, radii: Radii, uploads: Uploads, context: StepContext
    ) -> StepGradients:
        """See base class."""
        base = objective(point, "per_client" if radii.shared else uploads, private=True)
        # Each side consumes its own row gradients of `base`, so the order of the two does not matter.
        for_private = at_private(objective, point, base, radii.private)
        return StepGradients(base, at_shared(objective, point, base, radii.shared, uploads), for_private)


class Joint(Perturbation):
    """SAM with one norm over both sides and both gradients at the one moved point; two passes instead of three.

    Each side is moved by its own radius over the common norm: with equal radii this is SAM on all parameters at once.
    """

    joins = True

    def gradients(
        self, objective: Objective, point: Point, radii: Radii, uploads: Uploads, context: StepContext
    ) -> StepGradients:
        """See base class."""
        if not (radii.shared or radii.private):
            return Separate().gradients(objective, point, radii, uploads, context)
        base = objective(point, "per_client", private=True)
        norm = torch.hypot(base.shared.norm(), base.private.norm())
        moved = moved_private(point, base, radius_scale(radii.private, norm))
        moved = moved_shared(moved, base, radius_scale(radii.shared, norm))
        at_moved = objective(moved, uploads, private=True)
        return StepGradients(base, at_moved, at_moved)


def radius_scale(rho: float, norm: Tensor) -> Tensor:
    """Factor ``[B]`` that makes a gradient of norm ``norm [B]`` a perturbation of length rho; 0 for a zero gradient.

    Example:
        >>> radius_scale(0.1, torch.tensor([2.0, 0.0]))
        tensor([0.0500, 0.0000])
    """
    # The sign tells 0 apart: of a gradient in factors the norm may be rounded to 0 where the factors are not 0, and
    # they must not be multiplied by rho / 1e-12.
    return norm.sign() * rho / (norm + 1e-12)


def moved_shared(point: Point, gradients: Gradients, scale: Tensor) -> Point:
    """The point, its shared side moved by ``scale [B]`` times the shared gradients; uses up their row gradients."""
    return point.with_shared(point.shared.moved(gradients.shared, scale))


def moved_private(point: Point, gradients: Gradients, scale: Tensor) -> Point:
    """The point, its private side moved by ``scale [B]`` times the private gradients; uses up their row gradients."""
    return point.with_private(point.private.moved(gradients.private, scale))


def at_shared(objective: Objective, point: Point, base: Gradients, rho: float, uploads: Uploads) -> Gradients:
    """Gradients at the point moved on its shared side; ``base`` must hold one gradient per client if rho > 0."""
    if not rho:
        return base
    moved = moved_shared(point, base, radius_scale(rho, base.shared.norm()))
    return objective(moved, uploads, private=False)


def at_private(objective: Objective, point: Point, base: Gradients, rho: float) -> Gradients:
    """Gradients at the point moved on its private side."""
    if not rho:
        return base
    return objective(moved_private(point, base, radius_scale(rho, base.private.norm())), None, private=True)
