"""A communication round, one client after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tests.reference.client import ClientExamples, ClientResult, LocalOptions, LocalTraining, Order
from tests.reference.models import Parameters, Recommender
from tests.reference.optimise import OptimiserState, fresh_state, optimiser_step
from tests.reference.sam import Extras, norm, plus


@dataclass(frozen=True)
class ServerOptions:
    """The server's optimiser, named as in ``fedrec.server.MeanServer``.

    Attributes:
        kind: ``mean``, ``fedgloss`` (with ``rho``) or ``fednsam`` (whose gamma is the momentum).
        betas: Of adam and yogi; none: as published.
        eps: Of adam, adagrad and yogi; none: as published.
        weight_decay: Item tables and matrices lose ``lr * weight_decay`` of themselves before each step; the weights of
            NCF's one output are a vector.
    """

    optimizer: str = "adam"
    lr: float = 0.001
    momentum: float = 0.0
    rows_over: str = "clients"
    betas: tuple[float, float] | None = None
    eps: float | None = None
    kind: str = "mean"
    rho: float = 0.0
    weight_decay: float = 0.0

    def step(
        self, values: Parameters, gradients: Parameters, state: OptimiserState
    ) -> tuple[Parameters, OptimiserState]:
        """Take one step with these options."""
        adam = self.optimizer == "adam"
        betas = tuple(self.betas or (0.9, 0.999 if adam else 0.99))
        eps = self.eps or (1e-8 if adam else 1e-3)
        values = {
            name: value - self.lr * self.weight_decay * value if _multiplies(name, value) else value
            for name, value in values.items()
        }
        return optimiser_step(self.optimizer, self.lr, values, gradients, state, self.momentum, betas, eps)  # type: ignore[arg-type]


def _multiplies(name: str, value: Tensor) -> bool:
    return value.dim() == 2 and name != "predict_weight" and not name.endswith("bias")


@dataclass
class Federation:
    """Everything that lasts from round to round.

    Attributes:
        shared: The server's parameters.
        private: One dictionary of private parameters per user.
        server_state: The server's optimiser.
        private_states: The private optimiser of every user.
        copies: Per user, the copy of the shared parameters it goes on using, where the options say so.
        before: The server's parameters before its last step.
        last: The mean upload along which it took it.
        counts: Per item, how many uploads have listed it.
    """

    shared: Parameters
    private: list[Parameters]
    server_state: OptimiserState = field(init=False)
    private_states: list[OptimiserState] = field(init=False)
    copies: dict[int, Parameters] = field(init=False, default_factory=dict)
    before: Parameters = field(init=False)
    last: Parameters = field(init=False)
    counts: dict[int, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.server_state = fresh_state(self.shared)
        self.before, self.last = dict(self.shared), fresh_state(self.shared).first
        self.private_states = [fresh_state(values) for values in self.private]

    def sent(self, server: ServerOptions) -> Parameters:
        """The shared parameters as clients receive them."""
        if server.kind == "fedgloss":
            return plus(self.shared, server.rho / (norm(self.last) or 1.0), self.last)
        if server.kind == "fednsam":
            return plus(self.shared, server.momentum, plus(self.shared, -1.0, self.before))
        return self.shared

    def extras(self, tables: tuple[str, ...]) -> Extras:
        """What the server can send beside them."""
        table = self.shared[tables[0]]
        uploads = torch.tensor([[1 + self.counts.get(item, 0)] for item in range(len(table))], dtype=table.dtype)
        return Extras(plus(self.shared, -1.0, self.before), uploads / uploads.mean())


@dataclass(frozen=True)
class RoundResult:
    """What can be seen of a round.

    Attributes:
        clients: Indices of the cohort's clients, in order.
        results: What each of them computed.
        kept: Whether it counted.
        mean_upload: Mean of the kept clients' uploads; none if nobody was left.
    """

    clients: list[int]
    results: list[ClientResult]
    kept: list[bool]
    mean_upload: Parameters | None


def in_order(client: int, epoch: int) -> Tensor:
    """Stand in for an order where there are no batches to shuffle."""
    raise AssertionError(f"no order was given for client {client}, epoch {epoch}")


def run_round(
    federation: Federation,
    recommender: Recommender,
    local: LocalOptions,
    server: ServerOptions,
    cohort: Sequence[ClientExamples],
    order: Order = in_order,
) -> RoundResult:
    """Run one round and change ``federation`` accordingly."""
    training, sent, extras = (
        LocalTraining(recommender, local),
        federation.sent(server),
        federation.extras(recommender.tables),
    )
    clients, results = [], []
    for examples in cohort:
        client = examples.client
        private, state = federation.private[client], federation.private_states[client]
        clients.append(client)
        own = federation.copies.get(client) if local.starts_from_own else None
        results.append(training.run(own or sent, private, state, examples, order, sent, extras))
    kept = [result.finite for result in results]
    for client, result in zip(clients, results, strict=True):
        if result.finite:
            federation.private[client] = result.private
            federation.private_states[client] = result.state
            if local.keeps_copy:
                federation.copies[client] = result.shared
    uploads = [result.upload for result in results if result.finite]
    if not uploads:
        return RoundResult(clients, results, kept, None)
    mean = {name: torch.stack([upload[name] for upload in uploads]).mean(dim=0) for name in federation.shared}
    if server.rows_over == "senders":
        senders = torch.zeros(len(mean[recommender.tables[0]]), 1, dtype=mean[recommender.tables[0]].dtype)
        for examples, result in zip(cohort, results, strict=True):
            if result.finite:
                senders[examples.items.unique()] += 1
        for name in recommender.tables:
            mean[name] = mean[name] * len(uploads) / senders.clamp(min=1)
    for examples, result in zip(cohort, results, strict=True):
        for item in examples.items.unique().tolist() if result.finite else []:
            federation.counts[item] = federation.counts.get(item, 0) + 1
    federation.before, federation.last = federation.shared, mean
    federation.shared, federation.server_state = server.step(federation.shared, mean, federation.server_state)
    return RoundResult(clients, results, kept, mean)


def split_examples(clients: Tensor, offsets: Tensor, items: Tensor, labels: Tensor) -> list[ClientExamples]:
    """Cut flat examples (``items [T]`` or ``[E, T]``) into one piece per client."""
    rows = items if items.dim() == 2 else items[None]
    bounds = offsets.tolist()
    return [
        ClientExamples(int(client), rows[:, start:end], labels[start:end])
        for client, start, end in zip(clients, bounds[:-1], bounds[1:], strict=True)
    ]
