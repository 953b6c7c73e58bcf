"""The published style of federated recommendation: a Python loop over clients, a deep copy of the model for each.

This is what :mod:`fedrec` is timed against, so it is written honestly and as well as the style allows. Kept is what
makes the style: PyTorch modules, per client a deep copy with its item tables, a forward pass for every block of 128
examples, dense gradients of whole tables that are copied before the next pass, three full backward passes one after
another, one optimiser per client, evaluation user by user. Left out is what the published code does beyond that:
drawing samples inside the round, a step on the client's shared copy that is thrown away (an option here), evaluation
through a data loader with one sort per user. PFedRec's loop is in :mod:`tests.benchmarks.loop_pfedrec`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedrec.data.cohort import Cohort
from fedrec.data.protocol.heldout import HeldOut

CUTOFFS = (5, 10, 15, 20)
Metrics = dict[str, float]


class Users(nn.Module):
    """What FedNCF clients keep: GMF vectors ``[n, d]``, MLP vectors ``[n, 4d]`` (three layers); n is 1 on a client."""

    def __init__(self, number: int, embedding_dim: int, layers: int) -> None:
        super().__init__()
        self.gmf = nn.Embedding(number, embedding_dim)
        self.mlp = nn.Embedding(number, embedding_dim * 2 ** (layers - 1))
        for table in (self.gmf, self.mlp):
            nn.init.normal_(table.weight, std=0.01)


class NeuMF(nn.Module):
    """The shared part of FedNCF: both item tables, the MLP and the output layer."""

    def __init__(self, num_items: int, embedding_dim: int = 32, layers: int = 3) -> None:
        super().__init__()
        self.item_gmf = nn.Embedding(num_items, embedding_dim)
        self.item_mlp = nn.Embedding(num_items, embedding_dim * 2 ** (layers - 1))
        widths = [embedding_dim * 2 ** (layers - k) for k in range(layers + 1)]
        self.mlp = nn.ModuleList(nn.Linear(widths[k], widths[k + 1]) for k in range(layers))
        self.predict = nn.Linear(2 * embedding_dim, 1)
        for table in (self.item_gmf, self.item_mlp):
            nn.init.normal_(table.weight, std=0.01)
        for layer in self.mlp:
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.kaiming_uniform_(self.predict.weight, a=1, nonlinearity="sigmoid")
        nn.init.zeros_(self.predict.bias)

    def forward(self, users: Users, user: Tensor, items: Tensor) -> Tensor:
        """Return the logits ``[S]`` of rows ``user`` (``int64 [S]``) of ``users`` for ``items`` (``int64 [S]``)."""
        hidden = torch.cat([users.mlp(user), self.item_mlp(items)], dim=1)
        for layer in self.mlp:
            hidden = torch.relu(layer(hidden))
        return self.predict(torch.cat([users.gmf(user) * self.item_gmf(items), hidden], dim=1)).squeeze(1)


class FedRecGELLoop:
    """FedRecGEL (with both radii 0: FedNCF), one local step a round, one client after another.

    Args:
        num_users: Number of clients.
        num_items: Number of items.
        embedding_dim: d.
        layers: Hidden layers of the MLP.
        rho_shared: Radius of the shared side.
        rho_private: Radius of the private side.
        client_lr: Rate of the clients' Adam.
        server_lr: Rate of the server's Adam.
        discarded_step: Also take the Adam step that the published code takes on every client's copy of the shared
            parameters and then throws away. Nothing depends on it; it explains half of the published code's time.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        *,
        embedding_dim: int = 32,
        layers: int = 3,
        rho_shared: float = 0.02,
        rho_private: float = 0.02,
        client_lr: float = 0.1,
        server_lr: float = 0.001,
        discarded_step: bool = False,
    ) -> None:
        self.discarded_step = discarded_step
        self.sizes = embedding_dim, layers
        self.model = NeuMF(num_items, embedding_dim, layers)
        self.clients = [Users(1, embedding_dim, layers) for _ in range(num_users)]
        self.rho_shared, self.rho_private = rho_shared, rho_private
        self.server_optimizer = torch.optim.Adam(self.model.parameters(), lr=server_lr)
        self.client_optimizers = [torch.optim.Adam(client.parameters(), lr=client_lr) for client in self.clients]

    def round(self, cohort: Cohort) -> list[float]:
        """Train every client of the cohort and let the server step; return the clients' base losses."""
        total = [torch.zeros_like(parameter) for parameter in self.model.parameters()]
        losses = []
        for client, items, labels in clients_of(cohort):
            loss, upload = self.train_client(client, items, labels)
            losses.append(loss)
            for entry, gradient in zip(total, upload, strict=True):
                entry += gradient
        for parameter, gradient in zip(self.model.parameters(), total, strict=True):
            parameter.grad = gradient.div_(len(losses))
        self.server_optimizer.step()
        return losses

    def train_client(self, client: int, items: Tensor, labels: Tensor) -> tuple[float, list[Tensor]]:
        """Take the client's step; return its base loss and the gradient it uploads."""
        model, own = copy.deepcopy(self.model), self.clients[client]
        shared, private = list(model.parameters()), list(own.parameters())
        user = torch.zeros_like(items)

        def backward() -> float:
            model.zero_grad()
            own.zero_grad()
            losses = [
                F.binary_cross_entropy_with_logits(model(own, user[block], items[block]), labels[block])
                for block in blocks(len(items))
            ]
            loss = torch.stack(losses).sum()
            loss.backward()
            return loss.item()

        loss = backward()
        upload, private_gradient = saved_gradients(shared), saved_gradients(private)
        if self.rho_shared > 0:
            with perturbed(shared, upload, self.rho_shared):
                backward()
            upload = saved_gradients(shared)
        if self.rho_private > 0:
            with perturbed(private, private_gradient, self.rho_private):
                backward()
            private_gradient = saved_gradients(private)
        for parameter, gradient in zip(private, private_gradient, strict=True):
            parameter.grad = gradient
        self.client_optimizers[client].step()
        if self.discarded_step:
            for parameter, gradient in zip(shared, upload, strict=True):
                parameter.grad = gradient
            torch.optim.Adam(shared).step()
        return loss, upload

    @torch.no_grad()
    def evaluate(self, held_out: HeldOut) -> Metrics:
        """Gather the clients' vectors in one table and rank every user's held-out item among its candidates."""
        users = Users(len(self.clients), *self.sizes).to(held_out.users.device)
        for name, table in users.named_parameters():
            table.copy_(torch.cat([client.get_parameter(name) for client in self.clients]))
        return evaluate(held_out, lambda user, items: self.model(users, torch.full_like(items, user), items))


def blocks(examples: int, block: int = 128) -> Iterator[slice]:
    """Yield the consecutive blocks that the published loss averages over."""
    for start in range(0, examples, block):
        yield slice(start, start + block)


def saved_gradients(parameters: list[nn.Parameter]) -> list[Tensor]:
    """Return a copy of every gradient, so that the next pass does not touch it."""
    return [parameter.grad.clone() for parameter in parameters if parameter.grad is not None]


@contextmanager
def perturbed(parameters: list[nn.Parameter], gradient: list[Tensor], rho: float) -> Iterator[None]:
    """Move parameters by ``rho`` along a gradient, in place, and take the same step back on leaving."""
    length = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradient]))
    scale = float(rho / (length + 1e-12))
    move(parameters, gradient, scale)
    yield
    move(parameters, gradient, -scale)


@torch.no_grad()
def move(parameters: list[nn.Parameter], gradient: list[Tensor], scale: float) -> None:
    """Add a multiple of a gradient to the parameters, in place."""
    for parameter, g in zip(parameters, gradient, strict=True):
        parameter.add_(g, alpha=scale)


def clients_of(cohort: Cohort) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield each client with its items and labels."""
    bounds = cohort.offsets.tolist()
    for c, client in enumerate(cohort.clients.tolist()):
        yield client, cohort.items[0, bounds[c] : bounds[c + 1]], cohort.labels[bounds[c] : bounds[c + 1]]


def evaluate(held_out: HeldOut, score: Callable[[int, Tensor], Tensor]) -> Metrics:
    """Return HR@K and NDCG@K over all users, scoring one user after another."""
    totals = dict.fromkeys([f"{name}_{k}" for name in ("hr", "ndcg") for k in CUTOFFS], 0.0)
    items = torch.cat([held_out.items[:, None], held_out.candidates], dim=1)
    for user, row in zip(held_out.users.tolist(), items, strict=True):
        scores = score(user, row)
        rank = 1 + int((scores[1:] >= scores[0]).sum())
        for k in CUTOFFS:
            if rank <= k:
                totals[f"hr_{k}"] += 1.0
                totals[f"ndcg_{k}"] += 1.0 / math.log2(rank + 1)
    return {name: total / len(items) for name, total in totals.items()}
