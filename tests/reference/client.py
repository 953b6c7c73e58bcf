"""What one client does with the parameters it receives: local training, written out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.reference.models import Parameters, Recommender
from tests.reference.optimise import OptimiserState, fresh_state, optimiser_step
from tests.reference.sam import Evaluated, Extras, Sam, SamOptions, norm

Order = Callable[[int, int], Tensor]
"""``order(client, epoch)``: the permutation ``int64 [S]`` of the client's examples; used only with batches."""


@dataclass(frozen=True)
class LocalOptions(SamOptions):
    """The options of local training, flat; ``tests/reference/adapter.py`` makes production's composition of them.

    Attributes:
        mu: Strength of FedProx's penalty; it pulls dense parameters and the rows of a step's items.
        shared_decay: Weight decay of the client's copy, all of it (``upload: delta`` under SGD).
        row_mean: Whether a row of an item table moves along the mean over its own examples (``upload: delta``).
        row_decay: Weight decay of the rows of a step's items (``upload: delta``).
        tolerance: A client stops after an epoch that has changed its mean loss since the round began, FedProx's penalty
            included, by less than this share; 0: never.
        keeps_copy: Whether a client goes on using its own copy of the shared parameters after the round.
        starts_from_own: Whether a client goes on training its own copy, if it has one.
    """

    order: str = "together"
    local_epochs: int = 1
    batch_size: int | None = None
    loss_block: int = 128
    optimizer: str = "adam"
    lr: float = 0.1
    upload: str = "gradient"
    shared_optimizer: str = "sgd"
    shared_lr: float = 1.0
    shared_lr_per_item: bool = False
    mu: float = 0.0
    shared_decay: float = 0.0
    row_mean: bool = False
    row_decay: float = 0.0
    tolerance: float = 0.0
    keeps_copy: bool = False
    starts_from_own: bool = False


@dataclass(frozen=True)
class ClientExamples:
    """One client's examples of the round: ``items [E, S]`` (a row per epoch, or one for all), ``labels [S]``."""

    client: int
    items: Tensor
    labels: Tensor


@dataclass(frozen=True)
class ClientResult:
    """What local training leaves behind.

    Attributes:
        upload: What the client sends, dense.
        shared: The client's copy of the shared parameters at the end (unmoved with ``upload: gradient``).
        private: Its private parameters after the last step.
        state: Its private optimiser after the last step.
        losses: ``[steps, 3]``: at the base point, the perturbed shared and the perturbed private point; nan where a
            point was not evaluated.
        finite: Whether every evaluated loss and every entry of the upload is finite.
    """

    upload: Parameters
    shared: Parameters
    private: Parameters
    state: OptimiserState
    losses: Tensor
    finite: bool


def block_loss(logits: Tensor, labels: Tensor, loss_block: int) -> Tensor:
    """Return the sum over consecutive blocks of the block's mean binary cross-entropy."""
    pairs = zip(logits.split(loss_block), labels.split(loss_block), strict=True)
    return torch.stack([F.binary_cross_entropy_with_logits(x, y) for x, y in pairs]).sum()


def not_evaluated(options: LocalOptions) -> Tensor:
    """Return ``bool [3]``: which of base, shared and private point the options never evaluate."""
    apart = options.perturb in ("separate", "gsam", "looksam")
    return torch.tensor([False, apart and options.rho_shared == 0, apart and options.rho_private == 0])


class LocalTraining:
    """Local training of one client after another, with all it needs to know besides the client."""

    def __init__(self, recommender: Recommender, options: LocalOptions) -> None:
        self.recommender = recommender
        self.options = options

    def run(
        self,
        start: Parameters,
        private: Parameters,
        state: OptimiserState,
        examples: ClientExamples,
        order: Order,
        sent: Parameters,
        extras: Extras,
    ) -> ClientResult:
        """Train ``examples.client`` on its examples, starting from these shared parameters and its own private ones."""
        options, server = self.options, start
        self.sent = sent
        sam = Sam(options, self.recommender.tables, extras, len(examples.labels))
        shared = {name: value.clone() for name, value in server.items()}
        shared_state = fresh_state(shared)
        gradient_sum = {name: torch.zeros_like(value) for name, value in server.items()}
        losses, minimised, means = [], list[float](), list[Tensor]()
        for epoch in range(options.local_epochs):
            items = examples.items[epoch if len(examples.items) > 1 else 0]
            labels = examples.labels
            if options.batch_size is not None:
                permutation = order(examples.client, epoch)
                items, labels = items[permutation], labels[permutation]
            batch_size = options.batch_size or len(labels)
            for batch in zip(items.split(batch_size), labels.split(batch_size), strict=True):
                number, evaluate = len(losses), partial(self.evaluate, *batch)
                together = options.order == "together"
                sides = (0, 1) if together else (1,)
                base, shared_side, private_side = sam.gradients(evaluate, shared, private, batch[0], number, sides)
                minimised += [base.loss + self.penalty(shared, batch[0])] * len(batch[0])
                private, state = optimiser_step(options.optimizer, options.lr, private, private_side.private, state)
                if not together:
                    _, shared_side, _ = sam.gradients(evaluate, shared, private, batch[0], number, (0,))
                losses.append([base.loss, shared_side.loss, private_side.loss])
                if options.upload == "gradient":
                    gradient_sum = {name: value + shared_side.shared[name] for name, value in gradient_sum.items()}
                else:
                    gradient = {
                        name: self.of_rows(name, value, shared[name], batch[0]) + options.shared_decay * shared[name]
                        for name, value in shared_side.shared.items()
                    }
                    shared, shared_state = optimiser_step(
                        options.shared_optimizer, self.shared_rate(shared), shared, gradient, shared_state
                    )
            means.append(torch.tensor(minimised, dtype=torch.float64).mean())
            if epoch and (means[-1] - means[-2]).abs() / means[-2].abs() < options.tolerance:
                break
        upload = gradient_sum if options.upload == "gradient" else {n: server[n] - shared[n] for n in server}
        return self.result(upload, shared, private, state, torch.tensor(losses, dtype=torch.float64))

    def evaluate(self, items: Tensor, labels: Tensor, shared: Parameters, private: Parameters) -> Evaluated:
        """Return the loss and its gradients with respect to both sides, at one point."""
        shared = {name: value.detach().requires_grad_() for name, value in shared.items()}
        private = {name: value.detach().requires_grad_() for name, value in private.items()}
        loss = block_loss(self.recommender.logits(shared, private, items), labels, self.options.loss_block)
        gradients = torch.autograd.grad(loss, [*shared.values(), *private.values()])
        by_side = gradients[: len(shared)], gradients[len(shared) :]
        pulled = {
            name: gradient + self.options.mu * self.pull(name, shared[name].detach(), items)
            for name, gradient in zip(shared, by_side[0], strict=True)
        }
        return Evaluated(loss.item(), pulled, dict(zip(private, by_side[1], strict=True)))

    def penalty(self, shared: Parameters, items: Tensor) -> float:
        """Return the value of FedProx's penalty in a step with these items."""
        return self.options.mu / 2 * norm({name: self.pull(name, value, items) for name, value in shared.items()}) ** 2

    def pull(self, name: str, value: Tensor, items: Tensor) -> Tensor:
        """Return by how much a shared parameter stands from what the server sent; of a table, the step's rows."""
        distance = value - self.sent[name]
        if name not in self.recommender.tables:
            return distance
        touched = torch.zeros(len(value), 1, dtype=value.dtype)
        touched[items] = 1
        return distance * touched

    def of_rows(self, name: str, gradient: Tensor, value: Tensor, items: Tensor) -> Tensor:
        """Return the gradient of a shared parameter with what the options do to a table's rows."""
        if name not in self.recommender.tables:
            return gradient
        blocks = items.split(self.options.loss_block)
        weights = torch.cat([torch.full((len(b),), 1 / len(b), dtype=value.dtype) for b in blocks])
        of_row = torch.zeros(len(value), 1, dtype=value.dtype)
        of_row[:, 0].index_add_(0, items, weights)
        if self.options.row_mean:
            gradient = gradient / torch.where(of_row > 0, of_row, 1.0)
        return gradient + self.options.row_decay * value * (of_row > 0)

    def shared_rate(self, shared: Parameters) -> float:
        """Return the client's rate for the shared side; PFedRec's is given per item."""
        num_items = shared[self.recommender.tables[0]].shape[0]
        return self.options.shared_lr * (num_items if self.options.shared_lr_per_item else 1)

    def result(
        self, upload: Parameters, shared: Parameters, private: Parameters, state: OptimiserState, losses: Tensor
    ) -> ClientResult:
        """Gather what the client leaves behind, and whether it may count."""
        evaluated_finite = bool((losses.isfinite() | not_evaluated(self.options)).all())
        upload_finite = all(bool(value.isfinite().all()) for value in upload.values())
        return ClientResult(upload, shared, private, state, losses, evaluated_finite and upload_finite)
