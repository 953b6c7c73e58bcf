"""``MeanServer``: the unweighted mean of the uploads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Self

import torch
from torch import Tensor

from fedrec.errors import InputError
from fedrec.exchange import Upload
from fedrec.models.recommender import Params
from fedrec.processes import Processes
from fedrec.server.extras import Extra
from fedrec.server.optimizers import Kind
from fedrec.server.server import Server
from fedrec.uploads import Aggregates


class MeanServer(Server):
    """The unweighted mean of the uploads.

    FedRecGEL (arXiv:2603.11503): the mean of the clients' gradients and one Adam step. A mean of parameters (FedAvg,
    McMahan et al., arXiv:1602.05629) is ``optimizer: sgd`` with ``lr: 1`` on uploaded deltas; with ``momentum`` it is
    FedAvgM (Hsu et al., arXiv:1909.06335); with ``adagrad`` or ``yogi`` FedAdagrad or FedYogi (Reddi et al.,
    arXiv:2003.00295).

    Args:
        optimizer: ``sgd``, ``adam``, ``adagrad`` or ``yogi``; dense over all parameters, item tables included.
        lr: Learning rate.
        momentum: Factor beta of ``v <- beta v + mean``, along which SGD steps; 0: none.
        rows_over: By what the sum of an item row's uploads is divided: by the number of all ``clients`` of the round
            (FedAvg), or of its ``senders``, those who trained on the item, also where ``TopK`` has left nothing of the
            row. The latter is the aggregator of FedMF in CoLR's published code (Nguyen et al., WWW 2024).
        betas: Of adam and yogi, see :class:`~fedrec.server.optimizers.OptimizerOptions`; null: the published ones.
        eps: Of adam, adagrad and yogi, likewise.
        sends: What is sent beside the parameters, for instance ``LastUpdate``; null: nothing.
        weight_decay: Every step takes ``lr weight_decay`` times themselves off item tables and matrices, not off
            biases and vectors, see :func:`~fedrec.server.optimizers.decay`. 0: nothing.

    Example:
        One round of two clients, who send a gradient of the bias, and gradients of the rows of items 0 and 2:

        >>> server = MeanServer("sgd", lr=1.0)
        >>> server.initialise({"item": torch.zeros(3, 1), "bias": torch.zeros(())}, item_tables=["item"])
        >>> upload = Upload(
        ...     clients=torch.tensor([4, 7]),
        ...     dense={"bias": torch.tensor(3.0)},  # summed over the two
        ...     rows={"item": torch.tensor([[[2.0]], [[6.0]]])},
        ...     items=torch.tensor([[0], [2]]),
        ...     counts=torch.tensor([1, 1]),
        ...     num_items=3,
        ...     per_client=False,
        ... )
        >>> server.begin_round()
        >>> server.aggregate(upload)
        >>> _ = server.step(server.make_optimizer(), round_=0)
        >>> server.shared["bias"].item(), server.shared["item"].flatten().tolist()
        (-1.5, [-1.0, 0.0, -3.0])
    """

    adds_up = True
    aggregates: Aggregates = "mean"

    def __init__(
        self,
        optimizer: Kind = "adam",
        lr: float = 0.001,
        momentum: float = 0.0,
        rows_over: Literal["clients", "senders"] = "clients",
        betas: tuple[float, float] | None = None,
        eps: float | None = None,
        sends: list[Extra] | None = None,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(optimizer, lr, momentum, betas, eps, sends, weight_decay)
        self.rows_over = rows_over
        if rows_over == "senders":
            self.aggregates = "each"
        self._sums: Params = {}  # of the shape of what is uploaded, which need not be that of the parameters
        self._senders: Params = {}  # int64 [I] by table
        self._clients = 0

    @property
    def averages(self) -> bool:
        """See base class."""
        plain = type(self) is MeanServer and self.rows_over == "clients"  # what a subclass does, it says itself
        plain = plain and not (self.momentum or self.options.weight_decay)
        return plain and self.optimizer == "sgd" and self.lr == 1

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._sums = {name: fn(value) for name, value in self._sums.items()}  # they follow the parameters
        self._senders = {name: fn(value) for name, value in self._senders.items()}
        return super()._apply(fn, recurse)  # type: ignore[no-any-return, no-untyped-call]

    def begin_round(self) -> None:
        """See base class; the sums' memory is used again in every round."""
        super().begin_round()
        self._clients = 0
        for value in (*self._sums.values(), *self._senders.values()):
            value.zero_()

    def aggregate(self, upload: Upload) -> None:
        """See base class; adds up in the order of the buckets."""
        super().aggregate(upload)
        self._make_room(upload)
        if upload.dense:
            torch._foreach_add_([self._sums[name] for name in upload.dense], list(upload.dense.values()))
        for name, rows in upload.rows.items():
            self._sums[name].index_add_(0, upload.items.flatten(), rows.flatten(0, 1))
            if self.rows_over == "senders":
                self._senders[name].index_add_(0, upload.items.flatten(), upload.real().long().flatten())
        for name, scale in upload.scale.items():
            self._add_decayed(name, 1 - scale, upload)
        self._clients += len(upload.clients)

    def reduce(self, processes: Processes) -> None:
        """See base class."""
        super().reduce(processes)
        parts = {"sum": self._sums, "senders": self._senders, "clients": {"all": torch.tensor(self._clients)}}
        whole = processes.sum({(part, name): value for part, own in parts.items() for name, value in own.items()})
        self._sums = {name: value for (part, name), value in whole.items() if part == "sum"}
        self._senders = {name: value for (part, name), value in whole.items() if part == "senders"}
        self._clients = int(whole["clients", "all"])

    def direction(self) -> Params:
        """See base class."""
        clients, self._clients = self._clients or 1, 0  # of nobody's uploads there is a sum, 0
        for name, total in self._sums.items():
            total /= self._senders[name].clamp(min=1)[:, None] if name in self._senders else clients
        return dict(self._sums)

    def _make_room(self, upload: Upload) -> None:
        for name, value in upload.dense.items():
            if name not in self._sums:
                self._sums[name] = torch.zeros_like(value)
        for name, rows in upload.rows.items():
            if name not in self._sums:
                self._sums[name] = rows.new_zeros(upload.num_items, rows.shape[2])
            if self.rows_over == "senders" and name not in self._senders:
                self._senders[name] = upload.items.new_zeros(upload.num_items)

    def _add_decayed(self, name: str, shrunk: Tensor, upload: Upload) -> None:
        """Add what decay took off the rows that are not listed: ``shrunk [B]`` of each such row of the table."""
        if self.rows_over == "senders":
            raise InputError("model.server.rows_over=senders: with weight_decay of whole tables every client sends all")
        table, real = self.outgoing()[name], upload.real()  # clients began with what was sent
        self._sums[name].add_(table * shrunk.sum())
        listed = table[upload.items] * (shrunk[:, None] * real)[..., None]
        self._sums[name].index_add_(0, upload.items.flatten(), -listed.flatten(0, 1))
