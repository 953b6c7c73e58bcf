"""The client's side of the shared parameters: where it reads them in each step, and what it uploads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from fedrec.client import optimizer
from fedrec.client.objective import Gradients, Point
from fedrec.client.optimizer import OptimizerState
from fedrec.client.plan import Bucket, Step
from fedrec.models.linear import as_dense
from fedrec.models.recommender import Params, Reduce


@dataclass(frozen=True)
class Broadcast:
    """What the server sends: shared parameters by name, and item features that follow from them.

    Attributes:
        dense: Dense parameters ``[*shape]``.
        tables: Item tables ``[I, D]``.
        features: Tables ``[J, K]`` of the cohort's J distinct items, see ``Recommender.item_features``.
        slot: ``int64 [I]`` row of each such item in ``features``.
    """

    dense: Params
    tables: Params
    features: Params
    slot: Tensor

    def num_bytes(self) -> int:
        """Bytes of the shared parameters as they travel, in float32 (features are computed on arrival)."""
        return 4 * sum(value.numel() for value in (*self.dense.values(), *self.tables.values()))


class SharedSide(ABC):
    """Shared parameters of a bucket's clients during local training.

    Attributes:
        reduce: How :meth:`take` wants the dense gradients.
    """

    reduce: Reduce

    def __init__(self, broadcast: Broadcast, bucket: Bucket) -> None:
        self.broadcast, self.bucket = broadcast, bucket

    @abstractmethod
    def point(self, step: Step, private: Params) -> Point:
        """Where the clients stand: shared parameters as they are now, rows of the step's entries."""

    @abstractmethod
    def take(self, gradients: Gradients, step: Step) -> None:
        """Use one step's shared gradients."""

    @abstractmethod
    def upload(self) -> tuple[Params, Params]:
        """Dense uploads (as ``reduce`` says) and row uploads ``[B, P, D]``."""

    def _entry_items(self, step: Step) -> Tensor:
        return self.bucket.items if step.rows is None else self.bucket.items.gather(1, step.rows)

    def _features(self, items: Tensor) -> Params:
        features = self.broadcast.features
        slots = self.broadcast.slot[items] if features else items
        return {name: gathered(table, slots) for name, table in features.items()}

    def _places(self, step: Step) -> Tensor:
        """Flat places ``[B * S]`` of the step's entries among the bucket's ``B * P`` rows."""
        clients, width = self.bucket.items.shape
        first = torch.arange(clients, device=self.bucket.items.device)[:, None] * width
        rows = torch.arange(width, device=first.device) if step.rows is None else step.rows
        return (first + rows).flatten()


class GradientUpload(SharedSide):
    """``upload: gradient``: the parameters stay as received, the steps' gradients add up."""

    def __init__(self, broadcast: Broadcast, bucket: Bucket, reduce: Reduce) -> None:
        super().__init__(broadcast, bucket)
        self.reduce = reduce
        self._dense: Params = {}
        self._rows: Params = {}

    def point(self, step: Step, private: Params) -> Point:
        """See base class."""
        items = self._entry_items(step)
        rows = {name: gathered(table, items) for name, table in self.broadcast.tables.items()}
        return Point(dict(self.broadcast.dense), rows, self._features(items), private)

    def take(self, gradients: Gradients, step: Step) -> None:
        """See base class."""
        dense = {name: as_dense(gradient) for name, gradient in gradients.dense.items()}
        if len(self.bucket.steps) == 1 and step.rows is None:
            self._dense, self._rows = dense, gradients.rows
            return
        if not self._rows:
            self._dense = {name: torch.zeros_like(gradient) for name, gradient in dense.items()}
            shape = self.bucket.items.shape
            self._rows = {name: g.new_zeros(*shape, g.shape[2]) for name, g in gradients.rows.items()}
        for name, gradient in dense.items():
            self._dense[name] += gradient
        places = self._places(step)
        for name, gradient in gradients.rows.items():
            self._rows[name].flatten(0, 1).index_add_(0, places, gradient.flatten(0, 1))

    def upload(self) -> tuple[Params, Params]:
        """See base class."""
        return self._dense, self._rows


class DeltaUpload(SharedSide):
    """``upload: delta``: each client moves its own copy, kept for its own rows alone; received minus final goes up.

    Args:
        broadcast: What the server sent.
        bucket: The clients.
        kind: The shared side's optimiser, fresh each round; it acts as on a full copy (rows without an example have no
            gradient and no moments, so they stay as received).
        lr: Its learning rate.
    """

    reduce: Reduce = "each"

    def __init__(self, broadcast: Broadcast, bucket: Bucket, kind: Literal["adam", "sgd"], lr: float) -> None:
        super().__init__(broadcast, bucket)
        self._kind, self._lr, self._moved = kind, lr, False
        clients = len(bucket.clients)
        self._dense = {name: value.expand(clients, *value.shape) for name, value in broadcast.dense.items()}
        self._rows = {name: gathered(table, bucket.items) for name, table in broadcast.tables.items()}
        self._state = OptimizerState.initial(kind, self._dense | self._rows, clients)

    def point(self, step: Step, private: Params) -> Point:
        """See base class."""
        if self._moved:
            dense, features = self._dense, {}
        else:  # all clients still stand where the server does
            dense, features = self.broadcast.dense, self._features(self._entry_items(step))
        rows = self._rows
        if step.rows is not None:
            places, shape = self._places(step), step.rows.shape
            rows = {n: x.flatten(0, 1).index_select(0, places).view(*shape, -1) for n, x in rows.items()}
        return Point(dict(dense), rows, features, private)

    def take(self, gradients: Gradients, step: Step) -> None:
        """See base class."""
        self._moved = True
        dense = {name: as_dense(gradient) for name, gradient in gradients.dense.items()}
        places = self._places(step)
        if self._kind == "sgd":  # only the step's own rows move
            self._dense, _ = optimizer.step("sgd", self._lr, self._dense, dense, self._state)
            for name, gradient in gradients.rows.items():
                self._rows[name].flatten(0, 1).index_add_(0, places, gradient.flatten(0, 1), alpha=-self._lr)
            return
        grads = dense
        for name, gradient in gradients.rows.items():
            full = torch.zeros_like(self._rows[name])
            full.flatten(0, 1).index_add_(0, places, gradient.flatten(0, 1))
            grads[name] = full
        params = self._dense | self._rows
        moved, self._state = optimizer.step("adam", self._lr, params, grads, self._state, step.active)
        self._dense = {name: moved[name] for name in self._dense}
        self._rows = {name: moved[name] for name in self._rows}

    def upload(self) -> tuple[Params, Params]:
        """See base class."""
        dense = {name: self.broadcast.dense[name] - value for name, value in self._dense.items()}
        tables = self.broadcast.tables
        return dense, {name: gathered(tables[name], self.bucket.items) - value for name, value in self._rows.items()}


def gathered(table: Tensor, index: Tensor) -> Tensor:
    """Rows of a table ``[I, D]`` at ``index [B, S]``: ``[B, S, D]``."""
    return table.index_select(0, index.flatten()).view(*index.shape, table.shape[1])
