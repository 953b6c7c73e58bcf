"""The server: broadcast, aggregate, step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal, Protocol, Self

import torch
from torch import Tensor, nn

from fedrec.errors import InputError
from fedrec.models.recommender import Params, Reduce


class Uploads(Protocol):
    """What :meth:`Server.aggregate` reads of a bucket's updates.

    ``dense``: uploads of dense parameters, summed over the clients ``[*shape]`` or one each ``[B, *shape]``, as the
    server's ``reduce`` asks. ``rows``: uploads of item rows ``[B, P, D]`` by table, of ``items [B, P]`` (padding: 0).
    ``clients``: ``[B]`` user indices.
    """

    @property
    def dense(self) -> Params:  # noqa: D102
        ...
    @property
    def rows(self) -> Params:  # noqa: D102
        ...
    @property
    def items(self) -> Tensor:  # noqa: D102
        ...
    @property
    def clients(self) -> Tensor:  # noqa: D102
        ...


class Server(nn.Module, ABC):
    """Shared parameters and what happens to them between rounds.

    Args:
        optimizer: ``adam`` (betas 0.9 and 0.999, eps 1e-8) or ``sgd``; dense over all parameters, item tables included.
        lr: Learning rate.

    Raises:
        InputError: If the rate is not a finite number above 0.

    Attributes:
        reduce: How :meth:`aggregate` wants dense uploads: summed over a bucket's clients, or one each.
    """

    reduce: Reduce = "sum"

    def __init__(self, optimizer: Literal["adam", "sgd"] = "adam", lr: float = 0.001) -> None:
        super().__init__()
        if not 0 < lr < float("inf"):
            raise InputError(f"model.server.lr={lr}: a learning rate is a finite number above 0")
        self.optimizer, self.lr = optimizer, lr
        self.shared = nn.ParameterDict()

    def initialise(self, shared: Params) -> None:
        """Take the initial shared parameters."""
        self.shared = nn.ParameterDict({name: nn.Parameter(value) for name, value in shared.items()})

    def make_optimizer(self) -> torch.optim.Optimizer:
        """The optimiser of the shared parameters."""
        if self.optimizer == "adam":
            return torch.optim.Adam(self.shared.values(), lr=self.lr, fused=True)
        return torch.optim.SGD(self.shared.values(), lr=self.lr)

    def broadcast(self, round_: int, clients: Tensor) -> Params:
        """The shared parameters that the clients of a round receive, by name."""
        return {name: value.detach() for name, value in self.shared.items()}

    @abstractmethod
    def aggregate(self, updates: Uploads) -> None:
        """Take in a bucket's uploads."""

    @abstractmethod
    def direction(self) -> Params:
        """What the round's uploads amount to, by name: the gradient that the optimiser sees. Ends the round."""

    def step(self, optimizer: Any) -> Tensor:
        """One optimiser step along the round's uploads; returns their norm, ``[]``."""
        direction = self.direction()
        for name, value in direction.items():
            self.shared[name].grad = value
        optimizer.step()
        norm: Tensor = torch.stack(torch._foreach_norm(list(direction.values()))).norm()
        return norm


class MeanServer(Server):
    """The unweighted mean of the uploads.

    FedRecGEL (arXiv:2603.11503): the mean of the clients' gradients and one Adam step. A mean of parameters (FedAvg) is
    ``optimizer: sgd`` with ``lr: 1`` on uploaded deltas.
    """

    def __init__(self, optimizer: Literal["adam", "sgd"] = "adam", lr: float = 0.001) -> None:
        super().__init__(optimizer, lr)
        self._sums: Params = {}
        self._clients = 0

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._sums = {name: fn(value) for name, value in self._sums.items()}  # they follow the parameters
        return super()._apply(fn, recurse)  # type: ignore[no-any-return, no-untyped-call]

    def broadcast(self, round_: int, clients: Tensor) -> Params:
        """See base class; what a round that was cut off left behind is forgotten."""
        self._clients = 0
        return super().broadcast(round_, clients)

    def aggregate(self, updates: Uploads) -> None:
        """See base class; adds up in the order of the buckets."""
        if not self._sums:
            self._sums = {name: torch.zeros_like(value) for name, value in self.shared.items()}
        if self._clients == 0:  # the tables' memory is used again in every round
            torch._foreach_zero_(list(self._sums.values()))
        if updates.dense:
            torch._foreach_add_([self._sums[name] for name in updates.dense], list(updates.dense.values()))
        for name, upload in updates.rows.items():
            self._sums[name].index_add_(0, updates.items.flatten(), upload.flatten(0, 1))
        self._clients += len(updates.clients)

    def direction(self) -> Params:
        """See base class."""
        clients, self._clients = self._clients, 0
        torch._foreach_div_(list(self._sums.values()), clients)
        return dict(self._sums)
