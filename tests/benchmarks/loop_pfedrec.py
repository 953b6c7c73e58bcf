"""PFedRec in the published style: see :mod:`tests.benchmarks.loop`."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedrec.data.cohort import Cohort
from fedrec.data.protocol.heldout import HeldOut
from tests.benchmarks.loop import Metrics, clients_of, evaluate


class PFedRecLoop:
    """PFedRec: a private linear score function, a shared item table of which every client tunes its own copy.

    Args:
        num_users: Number of clients.
        num_items: Number of items.
        embedding_dim: d.
        batch_size: Examples a step; one epoch a round.
        private_lr: SGD rate of the score function.
        item_lr: SGD rate of the item table; the published 0.1 * 80 * I if None.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        *,
        embedding_dim: int = 32,
        batch_size: int = 256,
        private_lr: float = 0.1,
        item_lr: float | None = None,
    ) -> None:
        self.table = nn.Embedding(num_items, embedding_dim)
        self.clients = [nn.Linear(embedding_dim, 1) for _ in range(num_users)]
        self.tables: dict[int, nn.Embedding] = {}
        self.batch_size, self.private_lr = batch_size, private_lr
        self.item_lr = 8.0 * num_items if item_lr is None else item_lr

    def round(self, cohort: Cohort, order: Callable[[int, int], Tensor] | None = None) -> None:
        """Train every client of the cohort; the server takes the mean of their tables.

        Args:
            cohort: The cohort.
            order: ``order(client, examples)`` gives the permutation of a client's examples; random if None.
        """
        total = torch.zeros_like(self.table.weight)
        for client, items, labels in clients_of(cohort):
            place = torch.randperm(len(items)) if order is None else order(client, len(items))
            self.tables[client] = self.train_client(client, items[place], labels[place])
            with torch.no_grad():
                total += self.tables[client].weight
        with torch.no_grad():
            self.table.weight.copy_(total / len(cohort.clients))

    def train_client(self, client: int, items: Tensor, labels: Tensor) -> nn.Embedding:
        """Train the client for one epoch and return its table."""
        table, score = copy.deepcopy(self.table), self.clients[client]
        private_optimizer = torch.optim.SGD(score.parameters(), lr=self.private_lr)
        item_optimizer = torch.optim.SGD(table.parameters(), lr=self.item_lr)
        for x, y in zip(items.split(self.batch_size), labels.split(self.batch_size), strict=True):
            # The score function first, then the table, each with its own forward and backward pass.
            for optimizer in (private_optimizer, item_optimizer):
                private_optimizer.zero_grad()
                item_optimizer.zero_grad()
                F.binary_cross_entropy_with_logits(score(table(x)).squeeze(1), y).backward()
                optimizer.step()
        return table

    @torch.no_grad()
    def evaluate(self, held_out: HeldOut) -> Metrics:
        """Rank every user's held-out item with its own table (before its first round: the server's)."""
        return evaluate(
            held_out, lambda user, items: self.clients[user](self.tables.get(user, self.table)(items)).squeeze(1)
        )
