"""Where SAM moves a side, and how far: along what, divided by which norm, with a radius for each client or row.

A perturbation of one side, shared or private, is ``rho s along / (norm + 1e-12)``. :class:`Ascent` gives ``along`` and
the norm, :class:`RadiusScale` the factor s; both are parts of any perturbation in :mod:`fedrec.client.sam`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from fedrec.client.context import StepContext
from fedrec.client.part import Part, Values
from fedrec.models.linear import by_client


@dataclass(frozen=True)
class Direction:
    """Along what a side is moved, and by what that is divided.

    Attributes:
        along: One direction for each client.
        dense_norm: ``[B]`` norm for dense parameters.
        row_norm: Norm for item rows: ``[B]``, or ``[B, S]`` one for each entry.
    """

    along: Part
    dense_norm: Tensor
    row_norm: Tensor


class Ascent(ABC):
    """Where a side is moved, given its gradient."""

    @abstractmethod
    def __call__(self, values: Values, gradient: Part) -> Direction:
        """The direction in which a side moves.

        Args:
            values: Where it stands.
            gradient: Its gradient, one for each client; its row gradients may be overwritten, its dense ones may not.
        """

    def working_floats(self, dense: int, row: int) -> tuple[int, int]:
        """Working memory beyond that of SAM along the gradient: (per item row of a client, per client).

        Args:
            dense: Number of shared dense parameters.
            row: Size of an item's rows in all shared tables together.
        """
        return 0, 0


class AlongGradient(Ascent):
    """``rho g / ||g||``, one norm over the whole side: SAM (Foret et al., ICLR 2021, arXiv:2010.01412)."""

    def __call__(self, values: Values, gradient: Part) -> Direction:
        """See base class."""
        norm = gradient.norm()
        return Direction(gradient, norm, norm)


@dataclass(frozen=True)
class Factors:
    """By what radii are multiplied; None: by 1.

    Attributes:
        clients: ``[B]`` for all parameters of a client.
        rows: ``[B, S]`` for the item rows of the entries.
    """

    clients: Tensor | None = None
    rows: Tensor | None = None


class RadiusScale(ABC):
    """By what radii are multiplied, for each client, for each item row, or both."""

    @abstractmethod
    def __call__(self, context: StepContext) -> Factors:
        """The factors in a step."""


def radius_scale(rho: float, norm: Tensor) -> Tensor:
    """Factor that makes a direction of norm ``norm`` a perturbation of length rho; 0 for a direction of length 0.

    Args:
        rho: Radius.
        norm: ``[B]`` or ``[B, S]``.

    Example:
        >>> import torch
        >>> radius_scale(0.1, torch.tensor([2.0, 0.0]))
        tensor([0.0500, 0.0000])
    """
    # The sign tells 0 apart: of a gradient in factors the norm may be rounded to 0 where the factors are not 0, and
    # they must not be multiplied by rho / 1e-12.
    return norm.sign() * rho / (norm + 1e-12)


def displaced(
    values: Values, direction: Direction, rho: float, scales: Sequence[RadiusScale], context: StepContext
) -> Values:
    """A side's values, moved; uses up the direction's rows, which become the moved rows."""
    dense = rows = radius_scale(rho, direction.dense_norm)
    if direction.row_norm is not direction.dense_norm:
        rows = radius_scale(rho, direction.row_norm)
    for scale in scales:
        factors = scale(context)
        if factors.clients is not None:
            dense, rows = dense * factors.clients, rows * by_client(factors.clients, rows)
        if factors.rows is not None:
            rows = (rows if rows.dim() == 2 else rows.view(-1, 1)) * factors.rows
    return values.moved(direction.along, dense, rows)
