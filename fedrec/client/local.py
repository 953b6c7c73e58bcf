"""Local training: what a client does with the shared parameters it receives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from fedrec.client import optimizer as optimizers
from fedrec.client import sam
from fedrec.client.objective import Objective, Point, norm
from fedrec.client.optimizer import OptimizerState
from fedrec.client.plan import Bucket, LocalPlan
from fedrec.client.shared_side import Broadcast, DeltaUpload, GradientUpload, SharedSide
from fedrec.client.updates import ClientUpdates
from fedrec.data.cohort import Cohort
from fedrec.errors import InputError
from fedrec.models.recommender import Params, Recommender, Reduce


class LocalTraining:
    """Local training with SAM on the shared side, the private side, both or neither.

    The defaults with both radii positive are FedRecGEL (arXiv:2603.11503): one step on all examples of the round, the
    gradient at the perturbed shared parameters uploaded, the private parameters moved by the client's own Adam. With
    both radii 0 it is FedNCF.

    Args:
        rho_shared: Radius of the perturbation of the shared parameters; 0 means none.
        rho_private: Radius of the perturbation of the private parameters; 0 means none.
        perturb: ``separate``: neither side's perturbation sees the other's (the paper). ``joint``: one norm over both
            sides, both gradients at the one perturbed point.
        order: ``together``: both sides' gradients at the same point. ``private_first``: the private step is taken, then
            the shared gradients are computed with the new private parameters (PFedRec).
        local_epochs: Passes over the client's examples in a round.
        batch_size: Examples a step; null makes all of a client's examples one step.
        loss_block: The loss of a step is the sum, over consecutive blocks of this many examples, of the block's mean
            binary cross-entropy (published: 128). At least ``batch_size`` gives the plain mean.
        optimizer: Optimiser of the private parameters; its moments and step count persist across rounds.
        lr: Learning rate of the private parameters.
        upload: ``gradient``: shared parameters stay as received, the gradients of the steps are summed and uploaded.
            ``delta``: they move with their own optimiser, fresh each round; received minus final is uploaded.
        shared_optimizer: Optimiser of the client's copy of the shared parameters (``upload: delta`` alone).
        shared_lr: Its learning rate.
        shared_lr_per_item: Whether ``shared_lr`` is multiplied by the number of items, as PFedRec's is.

    Raises:
        InputError: If an option is outside its range.
    """

    def __init__(
        self,
        rho_shared: float = 0.0,
        rho_private: float = 0.0,
        perturb: Literal["separate", "joint"] = "separate",
        order: Literal["together", "private_first"] = "together",
        local_epochs: int = 1,
        batch_size: int | None = None,
        loss_block: int = 128,
        optimizer: Literal["adam", "sgd"] = "adam",
        lr: float = 0.1,
        upload: Literal["gradient", "delta"] = "gradient",
        shared_optimizer: Literal["adam", "sgd"] = "sgd",
        shared_lr: float = 1.0,
        shared_lr_per_item: bool = False,
    ) -> None:
        for name, value in {"rho_shared": rho_shared, "rho_private": rho_private}.items():
            if not 0 <= value < float("inf"):
                raise InputError(f"model.client.{name}={value}: a radius is a finite number of at least 0")
        for name, value in {"lr": lr, "shared_lr": shared_lr}.items():
            if not 0 < value < float("inf"):
                raise InputError(f"model.client.{name}={value}: a learning rate is a finite number above 0")
        for name, count in {"local_epochs": local_epochs, "batch_size": batch_size, "loss_block": loss_block}.items():
            if count is not None and count < 1:
                raise InputError(f"model.client.{name}={count}: expected at least 1")
        if perturb == "joint" and order == "private_first":
            raise InputError("model.client.perturb=joint needs order=together: both sides move at one point")
        self.rho_shared, self.rho_private = rho_shared, rho_private
        self.perturb, self.order = perturb, order
        self.local_epochs, self.batch_size, self.loss_block = local_epochs, batch_size, loss_block
        self.optimizer, self.lr = optimizer, lr
        self.upload, self.shared_optimizer = upload, shared_optimizer
        self.shared_lr, self.shared_lr_per_item = shared_lr, shared_lr_per_item

    def buckets(self, cohort: Cohort, recommender: Recommender, broadcast: Broadcast, budget: int) -> Iterator[Bucket]:
        """The cohort's clients in padded buckets whose working memory stays within ``budget`` bytes."""
        plan = LocalPlan(cohort, self.local_epochs, self.batch_size, self.loss_block)
        dtype = next(iter(broadcast.tables.values())).dtype
        return plan.buckets(budget, *self.working_floats(recommender, broadcast.dense, broadcast.tables), dtype)

    def working_floats(self, recommender: Recommender, dense: Params, tables: Params) -> tuple[int, int]:
        """Working memory of local training in float32 numbers: (per row of a client, per client)."""
        row, client = recommender.working_floats()
        if self.upload == "delta":  # the client's own copy and its optimiser's moments, before and after a step
            copies = 2 if self.shared_optimizer == "sgd" else 6
            row += copies * sum(table.shape[1] for table in tables.values())
            client += copies * sum(value.numel() for value in dense.values())
        return row, client

    def train(
        self,
        recommender: Recommender,
        broadcast: Broadcast,
        private: Params,
        state: OptimizerState,
        bucket: Bucket,
        reduce: Reduce = "sum",
    ) -> ClientUpdates:
        """Train a bucket of clients side by side.

        A client whose losses, upload, private parameters or moments are not finite is missing from the result. Since a
        sum over clients cannot say whose infinity it holds, such a bucket is trained again with one upload for each.

        Args:
            recommender: The model.
            broadcast: What the server sent.
            private: The clients' private parameters ``[B, *shape]``.
            state: Their private optimiser's state.
            bucket: The clients and their steps.
            reduce: Whether dense uploads are given summed over the bucket's clients or one for each.
        """
        updates = self._train(recommender, broadcast, private, state, bucket, reduce)
        if not updates.all_finite():
            if not updates.each:
                updates = self._train(recommender, broadcast, private, state, bucket, "each")
            updates = updates.only(updates.finite())
        return updates.summed() if reduce == "sum" else updates

    def _train(
        self,
        recommender: Recommender,
        broadcast: Broadcast,
        private: Params,
        state: OptimizerState,
        bucket: Bucket,
        reduce: Reduce,
    ) -> ClientUpdates:
        start, shared = private, self._shared_side(broadcast, bucket, reduce)
        losses: list[Tensor] = []
        for step in bucket.steps:
            objective, point = Objective(recommender, step, bucket.max_rows), shared.point(step, private)
            found = self._gradients(objective, point, shared.reduce)
            base = found.base
            moved = found.private.private
            private, state = optimizers.step(self.optimizer, self.lr, private, moved, state, step.active)
            if self.order == "private_first":
                at = replace(point, private=private)
                base = objective(at, "each" if self.rho_shared else shared.reduce, private=False)
                found = replace(found, shared=sam.at_shared(objective, at, base, self.rho_shared, shared.reduce))
            shared.take(found.shared, step)
            # One pass over all four, though some are the same where a radius is 0: telling them apart costs more.
            logits = [found.base.logits, found.shared.logits, found.private.logits, base.logits]
            losses.append(objective.loss(torch.stack(logits)))
        dense, rows = shared.upload()
        loss, loss_shared, loss_private, unmoved = torch.stack(losses).sum(0, dtype=torch.float64)
        return ClientUpdates(
            clients=bucket.clients,
            dense=dense,
            rows=rows,
            items=bucket.items,
            counts=bucket.counts,
            each=shared.reduce == "each",
            private=private,
            state=state,
            loss=loss,
            loss_shared=loss_shared,
            loss_private=loss_private,
            rise_shared=loss_shared - unmoved,
            blocks=bucket.blocks,
            examples=bucket.examples,
            private_step=norm([private[n] - start[n] for n in private]),
        )

    def _gradients(self, objective: Objective, point: Point, reduce: Reduce) -> sam.SamGradients:
        if self.order == "private_first":  # the shared side follows after the private step
            base = objective(point, None, private=True)
            return sam.SamGradients(base, base, sam.at_private(objective, point, base, self.rho_private))
        perturbed = sam.joint if self.perturb == "joint" else sam.separate
        return perturbed(objective, point, self.rho_shared, self.rho_private, reduce)

    def _shared_side(self, broadcast: Broadcast, bucket: Bucket, reduce: Reduce) -> SharedSide:
        if self.upload == "gradient":
            return GradientUpload(broadcast, bucket, reduce)
        per_item = len(broadcast.slot) if self.shared_lr_per_item else 1
        return DeltaUpload(broadcast, bucket, self.shared_optimizer, self.shared_lr * per_item)
