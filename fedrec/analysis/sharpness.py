"""How flat the loss is around a trained model, on the shared and on the private side apart.

Everything here is written against a plain function ``loss(shared, private) -> []`` that is the **mean over clients** of
each client's own loss. Shared tensors form one vector. Private tensors ``[C, *shape]`` hold one row per client; a
client's loss depends on its own row alone, so each row is a vector with its own norm, ball and curvature, and what is
reported is the mean over clients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedrec.data.draws import hash_u64
from fedrec.errors import InputError
from fedrec.models.linear import by_client

Tensors = dict[str, Tensor]
Loss = Callable[[Tensors, Tensors], Tensor]
Side = Literal["shared", "private"]

_TINY = 1e-30


@dataclass(frozen=True)
class Position:
    """A loss, where it is looked at, and the side that moves.

    Attributes:
        loss: Mean over clients of their losses.
        shared: Shared parameters.
        private: Private parameters, ``[C, *shape]``.
        side: Which of them moves; the other stays.
    """

    loss: Loss
    shared: Tensors
    private: Tensors
    side: Side

    @property
    def values(self) -> Tensors:
        """Parameters of the side that moves."""
        return self.shared if self.side == "shared" else self.private

    def at(self, values: Tensors) -> Tensor:
        """Loss ``[]`` with other values on the side that moves."""
        return self.loss(values, self.private) if self.side == "shared" else self.loss(self.shared, values)

    def moved(self, direction: Tensors, scale: float | Tensor = 1.0) -> Tensors:
        """Values moved along a direction."""
        return {name: value + self._spread(scale, value) * direction[name] for name, value in self.values.items()}

    def gradient(self, values: Tensors) -> Tensors:
        """Gradient of the loss of a client (of the mean over clients, for the shared side) at ``values``."""
        leaves = {name: value.detach().requires_grad_() for name, value in values.items()}
        gradients = torch.autograd.grad(
            self.at(leaves), list(leaves.values()), materialize_grads=True, allow_unused=True
        )
        return {name: self.clients * part for name, part in zip(leaves, gradients, strict=True)}

    def curvature(self, direction: Tensors) -> Tensors:
        """Product of the Hessian at the position with a direction, by differentiating twice."""
        leaves = {name: value.detach().requires_grad_() for name, value in self.values.items()}
        first = torch.autograd.grad(
            self.at(leaves), list(leaves.values()), create_graph=True, materialize_grads=True, allow_unused=True
        )
        along = sum((part * direction[name]).sum() for name, part in zip(leaves, first, strict=True))
        if not isinstance(along, Tensor) or not along.requires_grad:  # a loss that is linear in this side
            return {name: torch.zeros_like(value) for name, value in self.values.items()}
        second = torch.autograd.grad(along, list(leaves.values()), materialize_grads=True, allow_unused=True)
        return {name: self.clients * part for name, part in zip(leaves, second, strict=True)}

    @property
    def clients(self) -> int:
        """What undoes the mean over clients: their number for the private side, 1 for the shared."""
        return len(next(iter(self.private.values()))) if self.side == "private" else 1

    def inner(self, first: Tensors, second: Tensors) -> Tensor:
        """Inner products: one for the shared side ``[]``, one per client for the private ``[C]``."""
        products = [(first[name] * second[name]) for name in first]
        if self.side == "shared":
            return torch.stack([product.sum() for product in products]).sum()
        return torch.stack([product.reshape(len(product), -1).sum(1) for product in products]).sum(0)

    def unit(self, direction: Tensors) -> Tensors:
        """The direction with norm 1; zero stays zero."""
        scale = 1 / self.inner(direction, direction).sqrt().clamp(min=_TINY)
        return {name: self._spread(scale, value) * value for name, value in direction.items()}

    def random(self, seed: int, which: int) -> Tensors:
        """Direction number ``which``: normal numbers that are a function of (seed, which)."""
        generator = torch.Generator().manual_seed(int(hash_u64(seed, f"direction, {self.side}", which)) >> 1)
        return {name: torch.randn(v.shape, generator=generator).to(v) for name, v in self.values.items()}

    @staticmethod
    def _spread(scale: float | Tensor, value: Tensor) -> float | Tensor:
        return by_client(scale, value) if isinstance(scale, Tensor) and scale.dim() else scale


@dataclass(frozen=True)
class Landscape:
    """Loss on a plane through a model.

    Attributes:
        steps: ``float64 [n]`` coordinates along both directions; 1 is a step as long as the parameters themselves.
        loss: ``float64 [n, n]``; row i is at ``steps[i]`` along the first direction, column j at ``steps[j]`` along the
            second.
        centre: Loss of the model itself.
        side: The side that moved.
    """

    steps: NDArray[np.float64]
    loss: NDArray[np.float64]
    centre: float
    side: Side

    @property
    def rise(self) -> NDArray[np.float64]:
        """By how much the loss is above the model's, ``float64 [n, n]``."""
        return self.loss - self.centre


def filter_normalised(position: Position, seed: int, which: int) -> Tensors:
    """A random direction in which every filter is as long as the filter of the model that it moves.

    Li et al., *Visualizing the Loss Landscape of Neural Nets*, NeurIPS 2018, arXiv:1712.09913. A filter is a row of a
    matrix or table (an output unit, an item, a user); a vector or a number is one filter.
    """

    def scaled(noise: Tensor, value: Tensor) -> Tensor:
        axes = tuple(range(1, value.dim())) or None  # None: all of a vector
        ours, wanted = (torch.linalg.vector_norm(part, dim=axes, keepdim=True) for part in (noise, value))
        return torch.where(ours > 0, noise * wanted / ours, 0.0)

    noise = position.random(seed, which)
    return {name: scaled(noise[name], value) for name, value in position.values.items()}


@torch.no_grad()
def landscape(position: Position, radius: float = 1.0, resolution: int = 21, seed: int = 0) -> Landscape:
    """Loss on the plane of two filter-normalised directions.

    Args:
        position: Where, and which side moves.
        radius: The plane reaches from ``-radius`` to ``radius`` along both directions.
        resolution: Points along each direction, at least 3; an odd number has the model itself in the middle.
        seed: Of the directions.

    Raises:
        InputError: Radius or resolution are too small.
    """
    if resolution < 3 or not radius > 0:
        raise InputError(f"landscape: radius {radius}, resolution {resolution}; expected above 0 and at least 3")
    first, second = (filter_normalised(position, seed, which) for which in range(2))
    steps = np.linspace(-radius, radius, resolution)
    loss = np.empty((resolution, resolution))
    for i, j in np.ndindex(loss.shape):
        values = position.moved(first, float(steps[i]))
        values = {name: value + float(steps[j]) * second[name] for name, value in values.items()}
        loss[i, j] = float(position.at(values))
    return Landscape(steps, loss, float(position.at(position.values)), position.side)


def largest_eigenvalue(position: Position, iterations: int = 100, tolerance: float = 1e-4, seed: int = 0) -> Tensor:
    """Largest eigenvalue of the Hessian by power iteration.

    Power iteration finds the eigenvalue of largest size; where that is negative, a second run on the Hessian shifted by
    it finds the largest. Each run ends when no value changes by more than ``tolerance`` of itself.

    Args:
        position: Where, and which side moves.
        iterations: At most, per run.
        tolerance: Relative.
        seed: Of the first vector.

    Returns:
        ``[]`` for the shared side; ``[C]``, of each client's own loss, for the private.
    """
    dominant = _dominant(position, torch.zeros(()), iterations, tolerance, seed)
    shift = (-dominant).clamp(min=0)
    return _dominant(position, shift, iterations, tolerance, seed) - shift if bool((shift > 0).any()) else dominant


def _dominant(position: Position, shift: Tensor, iterations: int, tolerance: float, seed: int) -> Tensor:
    """Eigenvalue of largest size of the Hessian plus ``shift`` times the identity."""
    vector = position.unit(position.random(seed, 0))
    value = torch.zeros(())
    for _ in range(iterations):
        product = position.curvature(vector)
        product = {name: product[name] + position._spread(shift, part) * part for name, part in vector.items()}
        value, before = position.inner(vector, product), value
        if bool(((value - before).abs() <= tolerance * value.abs()).all()):
            break
        vector = position.unit(product)
    return value


def ball_sharpness(position: Position, rho: float, draws: int = 5, ascents: int = 10, seed: int = 0) -> float:
    """By how much the loss can rise within a radius: ``max over |e| <= rho of loss(w + e) - loss(w)``, from below.

    The largest of: random directions, the gradient's (SAM's own), and the gradient taken again and again at the moved
    point. On the private side every client moves by rho.

    Args:
        position: Where, and which side moves.
        rho: Radius.
        draws: Number of random directions.
        ascents: How often the gradient is taken.
        seed: Of the random directions.

    Returns:
        The rise, at least 0.
    """
    with torch.no_grad():
        here = float(position.at(position.values))
    return max(0.0, *(rise - here for rise in _raised(position, rho, draws, ascents, seed)))


def _raised(position: Position, rho: float, draws: int, ascents: int, seed: int) -> Iterator[float]:
    """Losses at points of the sphere."""
    best, start = -float("inf"), position.values
    for which in range(draws):
        values = position.moved(position.unit(position.random(seed, which)), rho)
        with torch.no_grad():
            value = float(position.at(values))
        if value > best:
            best, start = value, values
        yield value
    for begin in (position.values, start):  # at a minimum the gradient is zero: the best random point leads on
        values = begin
        for _ in range(ascents):
            values = position.moved(position.unit(position.gradient(values)), rho)
            with torch.no_grad():
                yield float(position.at(values))
