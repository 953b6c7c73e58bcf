"""Weighted least squares over all items, for many clients at once: private vectors in closed form, and gradients.

With item vectors ``Q [I, d]``, r_ui the number of a client's interactions with an item, x_ui = 1 where it is above 0
and weights c_ui = 1 + alpha r_ui (Hu, Koren, Volinsky, *Collaborative Filtering for Implicit Feedback Datasets*, ICDM
2008), a client's objective is ``sum_i c_ui (x_ui - p_u . q_i)^2 + lam |p_u|^2``, i over *all* items.

An item that a client does not have adds ``q_i q_i^T`` to the matrix of its normal equations and ``2 (p_u . q_i) p_u``
to the gradient of Q. So ``Q^T Q`` is computed once for all clients, the gradients of all clients add up to ``2 Q (sum_u
p_u p_u^T)``, and each client corrects both at its own items alone: exact, and no tensor of clients x items x d is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fedrec.models.recommender import Uploads


@dataclass(frozen=True)
class LeastSquares:
    """The objectives of B clients.

    Attributes:
        table: Item vectors ``Q [I, d]``.
        gram: ``Q^T Q [d, d]``.
        items: ``int64 [B, P]`` items of the clients, each once (padding: 0).
        counts: ``[B, P]`` r_ui; 0 for padding and for items that are none of the client's own.
        width: How many items of a client the working memory holds at a time.
        alpha: How much more an interaction weighs than none.
        lam: Weight of the penalty, above 0.
    """

    table: Tensor
    gram: Tensor
    items: Tensor
    counts: Tensor
    width: int
    alpha: float
    lam: float

    @staticmethod
    def working_floats(num_items: int, dim: int, uploads: Uploads = "summed") -> tuple[int, int]:
        """Working memory in float32 numbers: (per item of a client, per client)."""
        sent = 2 * num_items * dim if uploads == "per_client" else 0
        return 3 * dim + 8, 3 * dim * dim + 2 * num_items + sent

    def operations(self) -> Tensor:
        """Floating-point operations that each client needs on its own, ``float64 [B]``.

        A product and an addition for each number of ``Q^T Q``, of the matrix of its own items, and twice of the
        gradient of all items; and a third of d^3 for the triangular factor.
        """
        num_items, dim = self.table.shape
        own = (self.counts > 0).sum(1).double()
        return 2.0 * (num_items + own) * dim**2 + 4.0 * num_items * dim + dim**3 / 3

    def only(self, chosen: Tensor) -> LeastSquares:
        """The objectives of some of the clients, at the places ``chosen``."""
        return replace(self, items=self.items[chosen], counts=self.counts[chosen])

    def solution(self) -> Tensor:
        """The vectors ``p_u [B, d]`` at which the objectives are least; NaN where these numbers hold none."""
        ridge = self.lam * torch.eye(len(self.gram), dtype=self.gram.dtype, device=self.gram.device)
        matrix = (self.gram + ridge).repeat(len(self.items), 1, 1)
        right = self.table.new_zeros(len(self.items), 1, len(self.gram))
        for items, counts in self._parts():
            vectors, more = self.table[items], self.alpha * counts
            matrix.baddbmm_(vectors.mT, vectors * more[..., None])
            right.baddbmm_(((1 + more) * (counts > 0))[:, None], vectors)
        factor, info = torch.linalg.cholesky_ex(matrix)
        solved = torch.cholesky_solve(right.mT, factor)[..., 0]
        return torch.where((info == 0)[:, None], solved, float("nan"))

    def loss(self, users: Tensor) -> Tensor:
        """The objectives ``float64 [B]`` at vectors ``[B, d]``."""
        exact = users.double()
        loss = ((exact @ self.gram.double()) * exact).sum(1) + self.lam * exact.square().sum(1)
        for items, counts in self._parts():
            scores = self._scores(items, users).double()
            own = (1 + self.alpha * counts) * (1 - scores).square() - scores.square()
            loss += torch.where(counts > 0, own, 0).sum(1)
        return loss

    def gradient(self, users: Tensor, uploads: Uploads) -> Tensor:
        """The gradients ``-2 c_ui (x_ui - p_u . q_i) p_u`` of all item vectors.

        Returns:
            ``[I, d]`` summed over the clients, or ``[B, I, d]``.
        """
        clients, (num_items, dim) = len(users), self.table.shape
        if uploads == "summed":
            gradient = 2 * (self.table @ (users.mT @ users))
            first = torch.zeros(clients, 1, dtype=torch.int64, device=users.device)
        else:
            gradient = 2 * (users @ self.table.mT)[..., None] * users[:, None]
            first = torch.arange(clients, device=users.device)[:, None] * num_items
        for items, counts in self._parts():
            more = self._corrections(items, counts, users)[..., None] * users[:, None]
            gradient.view(-1, dim).index_add_(0, (first + items).flatten(), more.flatten(0, 1))
        return gradient

    def bounded(self, users: Tensor) -> Tensor:
        """Whether all numbers that a client adds to a summed :meth:`gradient` are finite, ``bool [B]``."""
        largest = 2 * (users @ self.table.mT).abs().amax(1)
        for items, counts in self._parts():
            largest = largest.maximum(self._corrections(items, counts, users).abs().amax(1))
        return (largest * users.abs().amax(1)).isfinite()

    def _parts(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Items and counts, as many at a time as the working memory holds."""
        for start in range(0, self.items.shape[1], self.width):
            yield self.items[:, start : start + self.width], self.counts[:, start : start + self.width]

    def _scores(self, items: Tensor, users: Tensor) -> Tensor:
        return (self.table[items] @ users[..., None])[..., 0]

    def _corrections(self, items: Tensor, counts: Tensor, users: Tensor) -> Tensor:
        """Of which multiple of p_u the gradient of an own item is more than ``2 (p_u . q_i) p_u``; 0 for others."""
        more = -2 * (1 + self.alpha * counts * (1 - self._scores(items, users)))
        return torch.where(counts > 0, more, 0)
