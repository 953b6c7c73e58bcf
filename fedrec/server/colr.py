"""``LowRankServer``: CoLR's server draws the basis of a round and adds the clients' factors times it to the item table.

Source: Nguyen et al., *Towards Efficient Communication and Secure Federated Recommendation System via Low-rank
Training*, WWW 2024, arXiv:2401.03748, and its published code, whose clients are in ``fedrec.client.colr``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from fedrec.data.draws import hash_u64
from fedrec.errors import InputError
from fedrec.exchange import Broadcast
from fedrec.models.recommender import Params
from fedrec.server.mean import MeanServer


class LowRankServer(MeanServer):
    """Sends a basis ``B [r, d]``, gathers factors ``A [I, r]``, and with rate 1 steps from ``W`` to ``W + A B``.

    ``A_i`` is the sum of what clients sent for item i, over the number of those who did (``rows_over: senders``). The
    paper's secure aggregation with homomorphic encryption is not simulated; it does not change what is computed.

    Deviations: ``B`` is the orthonormal factor of a QR decomposition instead of ``U V^T`` of a singular one; either has
    a uniformly drawn row space, on which alone the step depends. It is a function of (seed, round), so that the seed
    could be sent in its place; counted are the ``r d`` numbers.

    Args:
        rank: Rank r, at most the size d of an item row; the published values are 1 to 32 of 64.
        lr: Learning rate.
        rows_over: See :class:`~fedrec.server.MeanServer`.

    Raises:
        InputError: If the rank is below 1.
    """

    takes_factors = True

    def __init__(self, rank: int = 4, lr: float = 1.0, rows_over: Literal["clients", "senders"] = "senders") -> None:
        super().__init__("sgd", lr, rows_over=rows_over)
        if rank < 1:
            raise InputError(f"model.server.rank={rank}: expected at least 1")
        self.rank, self.seed = rank, 0
        self._bases: Params = {}

    def initialise(self, shared: Params, item_tables: Sequence[str], num_users: int = 0, seed: int = 0) -> None:
        """See base class."""
        super().initialise(shared, item_tables, num_users, seed)
        self.seed = seed
        for name in item_tables:
            if shared[name].shape[1] < self.rank:
                raise InputError(
                    f"model.server.rank={self.rank}: the rows of {name} have {shared[name].shape[1]} numbers; "
                    "expected a rank of at most that"
                )

    @property
    def averages(self) -> bool:
        """See base class: item rows end in what the basis spans."""
        return False

    def broadcast(self, round_: int, clients: Tensor) -> Broadcast:
        """See base class; with the round's basis of each table."""
        tables = {name: self.shared[name] for name in self.item_tables}
        self._bases = {n: basis(self.seed, n, round_, self.rank, t.shape[1]).to(t) for n, t in tables.items()}
        sent = super().broadcast(round_, clients)
        return replace(sent, extras={**sent.extras, **{f"basis.{n}": b for n, b in self._bases.items()}})

    def upload_shapes(self) -> dict[str, torch.Size]:
        """See base class: factors of the item tables."""
        factors = {name: torch.Size([self.num_items, self.rank]) for name in self.item_tables}
        return super().upload_shapes() | factors

    def decoded(self, aggregate: Params) -> Params:
        """See base class: the gathered factors times the basis."""
        return {n: value @ self._bases[n] if n in self._bases else value for n, value in aggregate.items()}


def basis(seed: int, table: str, round_: int, rank: int, size: int) -> Tensor:
    """The basis of a round, ``float64 [rank, size]``: orthogonal rows of length ``sqrt(size / rank)``.

    Example:
        >>> rows = basis(seed=0, table="item", round_=3, rank=2, size=8)
        >>> torch.allclose(rows @ rows.mT, 4 * torch.eye(2, dtype=torch.float64))
        True
    """
    generator = torch.Generator().manual_seed(int(hash_u64(seed, f"basis of {table}", round_)) >> 1)
    normal = torch.randn(size, rank, generator=generator, dtype=torch.float64)
    orthonormal: Tensor = torch.linalg.qr(normal).Q
    return orthonormal.mT * math.sqrt(size / rank)
