"""The server: broadcast, aggregate, step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fedrec.errors import DivergenceError, InputError
from fedrec.exchange import Broadcast, OneTable, Upload, UploadStep
from fedrec.models.recommender import Params, Uploads


class Server(nn.Module, ABC):
    """The server: the shared parameters, what it sends of them, and how a round's uploads change them.

    Args:
        optimizer: ``adam`` (betas 0.9 and 0.999, eps 1e-8) or ``sgd``; dense over all parameters, item tables included.
        lr: Learning rate.
        momentum: Factor beta of ``v <- beta v + direction``, along which SGD steps; 0: none.

    Raises:
        InputError: If the rate is not a finite number above 0, the momentum not from 0 to below 1, or not with SGD.

    Attributes:
        uploads: How :meth:`aggregate` wants dense uploads: summed over a bucket's clients, or one for each.
        item_tables: Which of the shared parameters have a row per item.
    """

    uploads: Uploads = "summed"

    def __init__(self, optimizer: Literal["adam", "sgd"] = "adam", lr: float = 0.001, momentum: float = 0.0) -> None:
        super().__init__()
        if not 0 < lr < float("inf"):
            raise InputError(f"model.server.lr={lr}: a learning rate is a finite number above 0")
        if not 0 <= momentum < 1:
            raise InputError(f"model.server.momentum={momentum}: expected a number from 0 to below 1")
        if momentum and optimizer != "sgd":
            raise InputError(f"model.server.momentum: needs optimizer=sgd; {optimizer} has moments of its own")
        self.optimizer, self.lr, self.momentum = optimizer, lr, momentum
        self.shared = nn.ParameterDict()
        self.item_tables: tuple[str, ...] = ()

    def initialise(self, shared: Params, item_tables: Sequence[str], num_users: int = 0, seed: int = 0) -> None:
        """Take the initial shared parameters, and make room for what else lasts from round to round.

        Args:
            shared: The parameters, item tables ``[I, D]`` among them.
            item_tables: Which of them have a row per item.
            num_users: Number of clients U, for servers that hold something of each.
            seed: Training seed, for servers that draw; what they draw must be a function of (seed, round).

        Raises:
            InputError: If it would take more memory than is allowed, or the server does not go with the parameters.
        """
        self.shared = nn.ParameterDict({name: nn.Parameter(value) for name, value in shared.items()})
        self.item_tables = tuple(item_tables)

    @property
    def averages(self) -> bool:
        """Whether a round ends exactly where the parameters with which its clients ended have their mean (FedAvg)."""
        return False

    @property
    def num_items(self) -> int:
        """Number of items I."""
        return len(self.shared[self.item_tables[0]])

    def parameters_now(self) -> Params:
        """The shared parameters without their graph, by name; their memory is the server's."""
        return {name: value.detach() for name, value in self.shared.items()}

    def make_optimizer(self) -> torch.optim.Optimizer:
        """The optimiser of the shared parameters."""
        if self.optimizer == "adam":
            return torch.optim.Adam(self.shared.values(), lr=self.lr, fused=True)
        return torch.optim.SGD(self.shared.values(), lr=self.lr, momentum=self.momentum)

    def broadcast(self, round_: int, clients: Tensor) -> Broadcast:
        """What the clients of a round receive: the shared parameters, the same for all."""
        values = self.parameters_now()
        tables = {name: OneTable(values.pop(name)) for name in self.item_tables}
        return Broadcast(round_, values, tables)

    @abstractmethod
    def begin_round(self) -> None:
        """Forget what a round that was cut off has left in the accumulators."""

    @abstractmethod
    def aggregate(self, upload: Upload) -> None:
        """Take in a bucket's uploads."""

    @abstractmethod
    def direction(self) -> Params:
        """The gradient that the optimiser sees, made of all uploads of the round; called once, at the round's end."""

    def step(self, optimizer: Any, round_: int, steps: Sequence[UploadStep] = ()) -> Tensor:
        """One optimiser step along the round's uploads.

        Args:
            optimizer: The optimiser of :attr:`shared`.
            round_: Number of the round, from 0.
            steps: What was done to the uploads on their way; the server's side of each is done here.

        Returns:
            Norm of the aggregate, ``[]``.

        Raises:
            DivergenceError: If the aggregate or a parameter after the step is not finite: sums of finite uploads may
                overflow, and nothing of such a round may be recorded. It names the round as people count, from 1.
        """
        direction = self.direction()
        for step in reversed(steps):  # what was done last on the way is undone first
            direction = step.on_server(direction, round_)
        norm: Tensor = torch.stack(torch._foreach_norm(list(direction.values()))).norm()
        if not norm.isfinite():  # a finite norm has finite terms; one that is not may have overflowed itself
            _require_finite(direction, f"round {round_ + 1}: the sum of the clients' uploads overflows")
        for name, value in direction.items():
            self.shared[name].grad = value
        optimizer.step()
        _require_finite(self.parameters_now(), f"round {round_ + 1}: the server's step overflows")
        return norm


def _require_finite(values: Params, what: str) -> None:
    # A sum is finite only if all of its terms are; it may overflow where they do not, and then they are looked at.
    total = torch.stack([value.sum() for value in values.values()]).sum()
    if not total.isfinite() and not all(bool(value.isfinite().all()) for value in values.values()):
        raise DivergenceError(f"{what}; lower the learning rates or rho")
