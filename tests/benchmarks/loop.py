"""The published style of federated recommendation: a Python loop over clients, a deep copy of the model for each.

This is what :mod:`fedrec` is timed against, so it is written honestly and as well as the style allows: nothing is
computed twice, nothing is moved or logged that is not needed, the server adds in place, evaluation ranks without
sorting. What makes the style is kept: PyTorch modules, per client a deep copy with its item tables, dense gradients,
one optimiser per client, three passes one after another, per-user evaluation. The steps are those of FEDRECGEL.md
(:class:`FedRecGELLoop`) and of FIELD.md section 4.2 (:class:`PFedRecLoop`).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedrec.data.cohort import Cohort
from fedrec.data.heldout import HeldOut

CUTOFFS = (5, 10, 15, 20)
Metrics = dict[str, float]


class UserVectors(nn.Module):
    """What a FedNCF client keeps: a GMF vector ``[d]`` and an MLP vector ``[4d]`` (three layers)."""

    def __init__(self, embedding_dim: int, layers: int) -> None:
        super().__init__()
        self.gmf = nn.Parameter(0.01 * torch.randn(embedding_dim))
        self.mlp = nn.Parameter(0.01 * torch.randn(embedding_dim * 2 ** (layers - 1)))


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

    def forward(self, user: UserVectors, items: Tensor) -> Tensor:
        """Return the logits ``[S]`` of ``user`` for ``items``."""
        hidden = torch.cat([user.mlp.expand(len(items), -1), self.item_mlp(items)], dim=1)
        for layer in self.mlp:
            hidden = torch.relu(layer(hidden))
        return self.predict(torch.cat([user.gmf * self.item_gmf(items), hidden], dim=1)).squeeze(1)


class FedRecGELLoop:
    """FedRecGEL (with both radii 0: FedNCF), one local step a round, one client after another."""

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
    ) -> None:
        self.model = NeuMF(num_items, embedding_dim, layers)
        self.users = [UserVectors(embedding_dim, layers) for _ in range(num_users)]
        self.rho_shared, self.rho_private, self.client_lr = rho_shared, rho_private, client_lr
        self.server_optimizer = torch.optim.Adam(self.model.parameters(), lr=server_lr)
        self.client_optimizers: dict[int, torch.optim.Optimizer] = {}

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
        model, user = copy.deepcopy(self.model), self.users[client]
        shared, private = list(model.parameters()), list(user.parameters())

        def gradients() -> tuple[Tensor, list[Tensor], list[Tensor]]:
            loss = block_loss(model(user, items), labels)
            model.zero_grad()
            user.zero_grad()
            loss.backward()
            return loss.detach(), [p.grad for p in shared], [p.grad for p in private]

        loss, upload, private_gradient = gradients()
        at_base = upload, private_gradient
        if self.rho_shared > 0:
            with perturbed(shared, at_base[0], self.rho_shared):
                _, upload, _ = gradients()
        if self.rho_private > 0:
            with perturbed(private, at_base[1], self.rho_private):
                _, _, private_gradient = gradients()
        for parameter, gradient in zip(private, private_gradient, strict=True):
            parameter.grad = gradient
        if client not in self.client_optimizers:
            self.client_optimizers[client] = torch.optim.Adam(private, lr=self.client_lr)
        self.client_optimizers[client].step()
        return loss.item(), upload

    @torch.no_grad()
    def evaluate(self, held_out: HeldOut) -> Metrics:
        """Rank every user's held-out item among its candidates."""
        return evaluate(held_out, lambda user, items: self.model(self.users[user], items))


class perturbed:  # noqa: N801 (used like a function, as torch.no_grad is)
    """Move parameters by ``rho`` along a gradient, in place, and take the same step back on leaving."""

    def __init__(self, parameters: list[nn.Parameter], gradient: list[Tensor], rho: float) -> None:
        length = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradient]))
        self.parameters, self.gradient, self.scale = parameters, gradient, float(rho / (length + 1e-12))

    def _move(self, scale: float) -> None:
        with torch.no_grad():
            for parameter, gradient in zip(self.parameters, self.gradient, strict=True):
                parameter.add_(gradient, alpha=scale)

    def __enter__(self) -> None:
        self._move(self.scale)

    def __exit__(self, *_: object) -> None:
        self._move(-self.scale)


def block_loss(logits: Tensor, labels: Tensor, block: int = 128) -> Tensor:
    """Return the sum over consecutive blocks of the block's mean binary cross-entropy."""
    pairs = zip(logits.split(block), labels.split(block), strict=True)
    return torch.stack([F.binary_cross_entropy_with_logits(x, y) for x, y in pairs]).sum()


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
