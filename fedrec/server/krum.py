"""``KrumServer``: the upload, or the mean of the uploads, that are nearest to the others (Krum and multi-Krum).

Source: Blanchard, El Mhamdi, Guerraoui, Stainer, *Machine Learning with Adversaries: Byzantine Tolerant Gradient
Descent*, NeurIPS 2017, arXiv:1703.02757. Of n clients f may be attackers; a client's score is the sum of the squared
distances from its upload to the ``n - f - 2`` nearest others; the one of lowest score is taken, or the mean of several.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from fedrec.errors import InputError
from fedrec.models.recommender import Params
from fedrec.server.extras import Extra
from fedrec.server.held import Held
from fedrec.server.optimizers import Kind
from fedrec.server.robust import RobustServer

DOUBLE = 8  # bytes of a float64


class KrumServer(RobustServer):
    """Takes one client's upload (Krum), or the mean of some (multi-Krum), and forgets the others.

    An upload is one vector of all shared parameters, item rows that a client did not send as 0. Distances are between
    all pairs: C x C numbers for C clients of a round, in float64. Clients with like scores are taken by number.

    Deviations: f is a share of those who arrive, rounded up, since cohorts differ in size. In a round of fewer than
    2 f + 3 clients, for which the paper promises nothing, at least one neighbour counts. The paper's guarantee is for
    uploads that are alike but for noise. Clients of a recommender are not: those with few rows are near to each other
    and win.

    Args:
        attackers: Share of a round's clients that are taken to be attackers, from 0 to below 0.5.
        selected: Share of a round's clients over which the mean is, above 0 and at most 1, rounded up; null: one client
            (Krum). With 1 it is ``MeanServer`` to rounding.
        optimizer: ``sgd``, ``adam``, ``adagrad`` or ``yogi``, as of ``MeanServer``.
        lr: Learning rate.
        momentum: Factor of SGD's momentum; 0: none.
        rows_over: By what an item row's sum is divided: the ``clients`` that are taken, or its ``senders`` among them.
        limit_mib: What a round's uploads and their distances may take here.
        betas: Of adam and yogi; null: the published ones.
        eps: Of adam, adagrad and yogi, likewise.
        sends: What is sent beside the parameters; null: nothing.

    Raises:
        InputError: If an option is outside its range, or uploads take more memory than allowed.
    """

    def __init__(
        self,
        attackers: float = 0.1,
        selected: float | None = None,
        optimizer: Kind = "adam",
        lr: float = 0.001,
        momentum: float = 0.0,
        rows_over: Literal["clients", "senders"] = "clients",
        limit_mib: float = 4096.0,
        betas: tuple[float, float] | None = None,
        eps: float | None = None,
        sends: list[Extra] | None = None,
    ) -> None:
        super().__init__(optimizer, lr, momentum, rows_over, limit_mib, betas, eps, sends)
        if not 0 <= attackers < 0.5:
            raise InputError(f"model.server.attackers={attackers}: expected a share of at least 0 and below 0.5")
        if selected is not None and not 0 < selected <= 1:
            raise InputError(f"model.server.selected={selected}: expected a share above 0 and at most 1")
        self.attackers, self.selected = attackers, selected

    def more_bytes(self, clients: int) -> int:
        """See base class: the products of all pairs, the distances, and what of them is sorted."""
        return 3 * DOUBLE * clients**2

    def combine(self, held: Held) -> Params:
        """See base class."""
        clients = len(held.clients)
        scores = self.scores(held)
        by_number = held.clients.argsort()
        best = by_number[scores[by_number].argsort(stable=True)]
        chosen = torch.zeros_like(held.clients, dtype=torch.bool)
        chosen[best[: 1 if self.selected is None else _part(self.selected, clients)]] = True
        return self.trimmed(held.only(chosen), 0.0)

    def scores(self, held: Held) -> Tensor:
        """Every client's sum of squared distances to the nearest others, ``float64 [C]``."""
        clients = len(held.clients)
        products = torch.zeros(clients, clients, dtype=torch.float64, device=held.items.device)
        for part in self._parts(held):
            products.addmm_(part, part.mT)
        squares = products.diagonal().clone()
        distances = products.mul_(-2).add_(squares[:, None]).add_(squares).clamp_(min=0)
        distances.fill_diagonal_(float("inf"))
        near = max(1, clients - _part(self.attackers, clients) - 2)
        return distances.topk(min(near, clients - 1), largest=False).values.sum(1)

    def _parts(self, held: Held) -> Iterator[Tensor]:
        """The uploads as vectors in pieces, ``float64 [C, n]``, each within the memory budget."""
        clients = len(held.clients)
        most = max(1, self.budget // (DOUBLE * clients))
        for value in held.dense.values():
            flat = value.reshape(clients, -1)
            for first in range(0, flat.shape[1], most):
                yield flat[:, first : first + most].double()
        items, place = torch.unique(held.items, return_inverse=True)
        for rows in held.rows.values():
            width = rows.shape[1]
            step = max(1, most // width)
            for first in range(0, len(items), step):
                own = ((place >= first) & (place < first + step)).nonzero()[:, 0]
                part = rows.new_zeros(clients, step, width, dtype=torch.float64)
                part[held.sender[own], place[own] - first] = rows[own].double()
                yield part.flatten(1)


def _part(share: float, clients: int) -> int:
    """How many clients a share is, rounded up."""
    return math.ceil(share * clients - 1e-9)
