"""Sharpness-aware minimisation for clients with shared and private parameters.

Source: FedRecGEL, arXiv:2603.11503 (two radii, one per side), after Foret et al., arXiv:2010.01412. A point is moved to
``theta + rho g / (||g|| + 1e-12)`` and the gradient is taken there. A zero gradient or rho = 0 leaves the point unmoved
and the gradient at the point itself is used: rho = 0 is the base optimiser bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fedrec.client.objective import Gradients, Objective, Point
from fedrec.models.recommender import Reduce


@dataclass(frozen=True)
class SamGradients:
    """Gradients of one step: at the point itself, and those that each side uses (the same where rho is 0).

    The row gradients of ``base`` are consumed by the perturbation; the loss at ``shared`` minus that at ``base`` is the
    sharpness that SAM on the shared side sees, likewise for the private side.
    """

    base: Gradients
    shared: Gradients
    private: Gradients


def radius_scale(rho: float, norm: Tensor) -> Tensor:
    """Factor ``[B]`` that makes a gradient of norm ``norm [B]`` a perturbation of length rho; 0 for a zero gradient.

    The norm of a gradient in factors may be 0 by rounding where the factors are not, so 0 is told apart.
    """
    return norm.sign() * rho / (norm + 1e-12)


def at_shared(objective: Objective, point: Point, base: Gradients, rho: float, reduce: Reduce) -> Gradients:
    """Gradients at the point moved on its shared side; ``base`` must hold one gradient each if rho > 0."""
    if not rho:
        return base
    return objective(point.shifted_shared(base, radius_scale(rho, base.shared_norm())), reduce, private=False)


def at_private(objective: Objective, point: Point, base: Gradients, rho: float) -> Gradients:
    """Gradients at the point moved on its private side."""
    if not rho:
        return base
    return objective(point.shifted_private(base, radius_scale(rho, base.private_norm())), None, private=True)


def separate(objective: Objective, point: Point, rho_shared: float, rho_private: float, reduce: Reduce) -> SamGradients:
    """Two-sided SAM: neither side's perturbation sees the other's (FedRecGEL, steps 4 and 5 of its round).

    Args:
        objective: The step's loss.
        point: (theta_u, phi_u) of the bucket's clients.
        rho_shared: Radius of the shared side.
        rho_private: Radius of the private side.
        reduce: How the shared dense gradients are to be given.
    """
    base = objective(point, "each" if rho_shared else reduce, private=True)
    private = at_private(objective, point, base, rho_private)
    return SamGradients(base, at_shared(objective, point, base, rho_shared, reduce), private)


def joint(objective: Objective, point: Point, rho_shared: float, rho_private: float, reduce: Reduce) -> SamGradients:
    """SAM with one norm over both sides and both gradients at the one moved point; two passes instead of three.

    Each side is moved by its own radius over the common norm: with equal radii this is SAM on all parameters at once.
    """
    if not (rho_shared or rho_private):
        return separate(objective, point, 0.0, 0.0, reduce)
    base = objective(point, "each", private=True)
    norm = torch.hypot(base.shared_norm(), base.private_norm())
    moved = point.shifted_private(base, radius_scale(rho_private, norm))
    moved = moved.shifted_shared(base, radius_scale(rho_shared, norm))
    found = objective(moved, reduce, private=True)
    return SamGradients(base, found, found)
