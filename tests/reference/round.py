"""A communication round, one client after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tests.reference.client import ClientExamples, ClientResult, LocalOptions, LocalTraining, Order
from tests.reference.models import Parameters, Recommender
from tests.reference.optimise import OptimiserState, fresh_state, optimiser_step


@dataclass(frozen=True)
class ServerOptions:
    """The server's optimiser, named as in ``fedrec.server.MeanServer``."""

    optimizer: str = "adam"
    lr: float = 0.001
    momentum: float = 0.0
    rows_over: str = "clients"


@dataclass
class Federation:
    """Everything that lasts from round to round.

    Attributes:
        shared: The server's parameters.
        private: One dictionary of private parameters per user.
        server_state: The server's optimiser.
        private_states: The private optimiser of every user.
        copies: Per user, the copy of the shared parameters it goes on using, where the options say so.
    """

    shared: Parameters
    private: list[Parameters]
    server_state: OptimiserState = field(init=False)
    private_states: list[OptimiserState] = field(init=False)
    copies: dict[int, Parameters] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.server_state = fresh_state(self.shared)
        self.private_states = [fresh_state(values) for values in self.private]


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
    training = LocalTraining(recommender, local)
    clients, results = [], []
    for examples in cohort:
        client = examples.client
        private, state = federation.private[client], federation.private_states[client]
        clients.append(client)
        own = federation.copies.get(client) if local.starts_from_own else None
        results.append(training.run(own or federation.shared, private, state, examples, order, federation.shared))
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
    federation.shared, federation.server_state = optimiser_step(
        server.optimizer, server.lr, federation.shared, mean, federation.server_state, server.momentum
    )
    return RoundResult(clients, results, kept, mean)


def split_examples(clients: Tensor, offsets: Tensor, items: Tensor, labels: Tensor) -> list[ClientExamples]:
    """Cut flat examples (``items [T]`` or ``[E, T]``) into one piece per client."""
    rows = items if items.dim() == 2 else items[None]
    bounds = offsets.tolist()
    return [
        ClientExamples(int(client), rows[:, start:end], labels[start:end])
        for client, start, end in zip(clients, bounds[:-1], bounds[1:], strict=True)
    ]
