"""Local training: what clients do with the shared parameters that they receive."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from fedrec.client.client import Client
from fedrec.client.combinations import (
    check_decays,
    check_means,
    check_names,
    check_order,
    check_private_tables,
    check_pull,
    check_radii,
    check_what_is_kept,
)
from fedrec.client.context import StepContext
from fedrec.client.early_stopping import EarlyStopping
from fedrec.client.figures import Figures
from fedrec.client.gradient_upload import GradientUpload
from fedrec.client.objective import Objective
from fedrec.client.operations import operations
from fedrec.client.optimizer import Kind, Rate
from fedrec.client.part import Point
from fedrec.client.penalties import Penalty
from fedrec.client.plan import Bucket, LocalPlan
from fedrec.client.private import Own, PrivateState
from fedrec.client.private_side import PrivateSide
from fedrec.client.rates import Rates, check_rate
from fedrec.client.sam import Perturbation, Radii, Request, Separate
from fedrec.client.shared_side import UploadRule
from fedrec.client.start import FromBroadcast, FromOwn, Origin, Start
from fedrec.client.stores import DecayedRows, Nothing, Store
from fedrec.client.updates import ClientUpdates
from fedrec.data.cohort import Cohort
from fedrec.errors import InputError
from fedrec.models.recommender import Params, Recommender, Uploads


class LocalTraining(Client):
    """Local training, composed of parts; with SAM on the shared side, the private side, both or neither.

    The defaults with both radii positive are FedRecGEL (arXiv:2603.11503): one step on all examples of the round, the
    gradient at the perturbed shared parameters uploaded, the private parameters moved by the client's own Adam. With
    both radii 0 it is FedNCF.

    Args:
        rho_shared: Radius of the perturbation of the shared parameters; 0 means none.
        rho_private: Radius of the perturbation of the private parameters; 0 means none.
        perturbation: How the sides are perturbed: ``Separate`` (also what null means): neither side's perturbation
            sees the other's (the paper). ``Joint``: one norm over both sides, both gradients at one perturbed point.
            Others: ``GSAM``, ``LookSAM``, ``FedLESAM``, each in a file of its name; see :mod:`fedrec.client.sam`.
        order: ``together``: both sides' gradients at the same point. ``private_first``: the private step is taken, then
            the shared gradients are computed with the new private parameters (PFedRec), with any perturbation that does
            not join the sides.
        local_epochs: Passes over the client's examples in a round.
        batch_size: Examples a step; null makes all of a client's examples one step.
        loss_block: The loss of a step is the sum, over consecutive blocks of this many examples, of the block's mean
            binary cross-entropy (published: 128). At least ``batch_size`` gives the plain mean.
        optimizer: Optimiser of the private parameters; its moments and step count persist across rounds.
        lr: Learning rate of the private parameters.
        rates: Factors of ``lr`` by parameter, round and step; null: 1.
        weight_decay: Decay of the private parameters in each step of SGD, all rows of private item tables included.
        upload: What is done with the shared gradients and sent: ``GradientUpload`` (also what null means): shared
            parameters stay as received, the gradients of the steps are summed. ``DeltaUpload``: they move with an
            optimiser of their own, start minus final is sent.
        penalties: Further terms of the objective, for instance ``Proximal`` (FedProx).
        tolerance: A client rests for the remainder of a round once its loss changes from one local epoch to the next by
            less than this share (see :class:`~fedrec.client.early_stopping.EarlyStopping`); 0: nobody does.
        start: Where a client starts: ``FromBroadcast`` (also what null means) or ``FromOwn``, its own copy.
        store: What clients keep of the shared parameters that they moved, and score with: ``Nothing`` (also what null
            means), ``TunedRows``, ``FullTables`` or ``OwnCopy``.
        table_store: How private item tables are kept: ``DecayedRows`` (also what null means) or ``FullTables``.

    Raises:
        InputError: If an option is outside its range, or two do not go together.

    Example:
        >>> fedrecgel = LocalTraining(rho_shared=0.02, rho_private=0.02, lr=0.1)
        >>> LocalTraining(lr=-1.0)
        Traceback (most recent call last):
        fedrec.errors.InputError: model.client.lr=-1.0: a learning rate is a finite number above 0
    """

    def __init__(
        self,
        rho_shared: float = 0.0,
        rho_private: float = 0.0,
        perturbation: Perturbation | None = None,
        order: Literal["together", "private_first"] = "together",
        local_epochs: int = 1,
        batch_size: int | None = None,
        loss_block: int = 128,
        optimizer: Kind = "adam",
        lr: float = 0.1,
        rates: Rates | None = None,
        weight_decay: float = 0.0,
        upload: UploadRule | None = None,
        penalties: list[Penalty] | None = None,
        tolerance: float = 0.0,
        start: Start | None = None,
        store: Store | None = None,
        table_store: Store | None = None,
    ) -> None:
        self.radii = Radii(rho_shared, rho_private)
        self.perturbation, self.order = perturbation or Separate(), order
        self.local_epochs, self.batch_size, self.loss_block = local_epochs, batch_size, loss_block
        self.optimizer, self.lr, self.rates, self.weight_decay = optimizer, lr, rates or Rates(), weight_decay
        self.upload, self.penalties = upload or GradientUpload(), penalties or []
        self.tolerance = tolerance
        self.start, self.store = start or FromBroadcast(), store or Nothing()
        self.table_store, self._given_table_store = table_store or DecayedRows(), table_store
        self.decays, self.continues = self.upload.decays, isinstance(self.start, FromOwn)
        self.keeps_dense = self.continues and self.store.holds_dense
        self.whole, self.sends_factors = self.upload.whole, self.upload.factors
        self._check_options()

    @property
    def needs_personal_tables(self) -> bool:
        """See base class."""
        return self.upload.needs_personal_tables

    def _check_options(self) -> None:
        check_radii(self.radii)
        check_rate("model.client.lr", self.lr)
        check_decays({"weight_decay": self.weight_decay, "tolerance": self.tolerance}, self.optimizer)
        counts = {"local_epochs": self.local_epochs, "batch_size": self.batch_size, "loss_block": self.loss_block}
        for name, count in counts.items():
            if count is not None and count < 1:
                raise InputError(f"model.client.{name}={count}: expected at least 1")
        check_order(self.perturbation, self.order)
        check_pull(self.penalties, self.upload, self.perturbation, self.radii)
        check_means(self.penalties, self.batch_size, self.loss_block)
        self.perturbation.check(self.radii)
        check_what_is_kept(self.upload, self.start, self.store, self.table_store)

    def check(self, recommender: Recommender) -> None:
        """See base class."""
        if not recommender.by_gradients:
            name = type(recommender).__name__
            raise InputError(f"model.client=LocalTraining: {name} is not trained by gradients; expected ItemLists")
        check_names(recommender, self.rates, self.upload.rates)
        check_private_tables(recommender, self.optimizer, self._given_table_store)
        for penalty in self.penalties:
            penalty.check(recommender)

    def private_state(
        self, recommender: Recommender, num_users: int, shared: Params, generator: torch.Generator
    ) -> PrivateState:
        """See base class."""
        values = recommender.initial_private(num_users, generator)
        # Copies: the stores among the options have no sizes, and one client object may serve several models.
        kept, tables = copy.deepcopy(self.store), None
        item_tables = {name: shared[name] for name in recommender.item_tables}
        dense = {name: value for name, value in shared.items() if name not in item_tables}
        kept.initialise(num_users, item_tables, dense)
        if recommender.private_tables:
            tables = copy.deepcopy(self.table_store)
            num_items = len(next(iter(item_tables.values())))
            tables.initialise(num_users, recommender.initial_private_tables(num_items, generator), {})
        return PrivateState(values, self.optimizer, num_users, kept, tables)

    def buckets(
        self,
        recommender: Recommender,
        cohort: Cohort,
        origin: Origin,
        budget: int,
        uploads: Uploads = "summed",
        beside: tuple[int, int] = (0, 0),
    ) -> Iterator[Bucket]:
        """See base class."""
        plan = LocalPlan(cohort, self.local_epochs, self.batch_size, self.loss_block)
        dense = sum(value.numel() for value in origin.broadcast.dense.values())
        row = sum(table.shape[1] for table in origin.tables.values())
        floats = self.working_floats(recommender, dense, row, origin.num_items)
        return plan.buckets(budget, floats[0] + beside[0], floats[1] + beside[1], origin.dtype)

    def working_floats(self, recommender: Recommender, dense: int, row: int, items: int) -> tuple[int, int]:
        """Working memory of local training in float32 numbers: (per item row of a client, per client).

        Args:
            recommender: The model.
            dense: Number of shared dense parameters.
            row: Size of an item's rows in all shared tables together.
            items: Number of items I.
        """
        parts = recommender.working_floats(), self.upload.working_floats(dense, row, items)
        of_rows, of_clients = zip(*parts, self.perturbation.working_floats(dense, row), strict=True)
        return sum(of_rows), sum(of_clients)

    def train(
        self, recommender: Recommender, origin: Origin, own: Own, bucket: Bucket, uploads: Uploads = "summed"
    ) -> ClientUpdates:
        """See base class.

        A bucket whose summed upload is not finite is trained a second time, with one upload for each client.
        """
        origin = self.start(origin, own.kept, bucket.clients)
        # Penalties pull every client by its own distance, which a gradient summed over clients cannot hold.
        updates = self._train(recommender, origin, own, bucket, "per_client" if self.penalties else uploads)
        if not updates.all_finite():
            # A sum over clients does not tell whose infinity it holds, and leaving out the whole bucket would make the
            # result depend on who shares it. Training again costs one bucket, in the rare round where it is needed;
            # uploads per client in every round would cost a copy of the dense parameters for each client.
            if not updates.upload.per_client:
                updates = self._train(recommender, origin, own, bucket, "per_client")
            updates = updates.only(updates.finite())
        return updates.summed() if uploads == "summed" else updates

    def _train(
        self, recommender: Recommender, origin: Origin, own: Own, bucket: Bucket, uploads: Uploads
    ) -> ClientUpdates:
        shared = self.upload.begin(origin, bucket, uploads)
        private = PrivateSide(own, bucket, self.optimizer, self.weight_decay)
        stopping = EarlyStopping(bucket, self.batch_size, self.tolerance)
        losses: list[Tensor] = []
        evaluated: list[Tensor] = []
        memory: dict[str, Any] = {}
        private_first = self.order == "private_first"
        for number, step in enumerate(stopping.steps()):
            context = StepContext(origin, bucket, step, number, memory)
            objective = Objective(recommender, step, bucket.max_entries, self.penalties, context)
            point = Point(shared.values(step), private.values(step), shared.features(step))
            request = Request(objective, point, self.radii, None if private_first else shared.uploads, True, context)
            gradients = self.perturbation.gradients(request)
            unmoved = gradients.base
            if self.tolerance:  # before the steps, which move the point's rows
                stopping.take(objective.value(point, unmoved.logits), step, number)
            private.take(gradients.for_private.private, step, self._rate(origin.broadcast.round, number))
            if private_first:
                point = point.with_private(private.values(step))
                after = replace(request, point=point, uploads=shared.uploads, private=False)
                of_shared = self.perturbation.gradients(after)
                unmoved, gradients = of_shared.base, replace(gradients, for_shared=of_shared.for_shared)
            shared.take(gradients.for_shared.shared, step, number)
            # One pass over all four, though some are the same where a radius is 0: telling them apart costs more.
            logits = [g.logits for g in (gradients.base, gradients.for_shared, gradients.for_private, unmoved)]
            losses.append(objective.loss(torch.stack(logits)))
            evaluated.append((step.weight > 0).sum(1) * objective.passes)
        figures = Figures.of_steps(
            losses,
            blocks=stopping.blocks,
            examples=bucket.examples,
            private_step=private.length(),
            operations=torch.stack(evaluated).sum(0).double() * operations(origin, own),
        )
        own_copy = shared.copy() if own.kept.needs_copy else None
        return ClientUpdates(shared.upload(), replace(private.update(), shared=own_copy), figures)

    def _rate(self, round_: int, step: int) -> Rate:
        """Learning rates of the private parameters in one step of a round."""
        return lambda name: self.lr * self.rates.of(name, round_, step)
