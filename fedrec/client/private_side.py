"""The private parameters of clients during local training: dense ones with their optimiser, and item rows."""

from __future__ import annotations

from torch import Tensor

from fedrec.client import optimizer as optimizers
from fedrec.client.optimizer import Kind, Rate
from fedrec.client.part import Part, Values, norm
from fedrec.client.plan import Bucket, Step
from fedrec.client.private import Own, OwnUpdate
from fedrec.client.rows import MovingRows
from fedrec.client.stores.store import Copy
from fedrec.models.linear import as_dense


class PrivateSide:
    """Private parameters of a bucket's clients while they train.

    Args:
        own: What the clients brought into the round.
        bucket: The clients.
        kind: Optimiser of the private parameters; private item rows move with SGD.
        weight_decay: Decay of private item tables, and of dense parameters, in each step of SGD.
    """

    def __init__(self, own: Own, bucket: Bucket, kind: Kind, weight_decay: float = 0.0) -> None:
        self._own, self._bucket, self._kind, self._decay = own, bucket, kind, weight_decay
        self._dense, self._state = own.dense, own.optimizer
        rows = {name: table.rows(bucket.clients, bucket.items) for name, table in own.tables.items()}
        self._rows = MovingRows(bucket, rows)

    def values(self, step: Step) -> Values:
        """The private parameters as they are now, with the rows of the step's entries."""
        return Values(dict(self._dense), self._rows.at(step) if self._rows.values else {})

    def take(self, gradient: Part, step: Step, rate: Rate) -> None:
        """Step along a private gradient.

        Args:
            gradient: The gradient.
            step: The step that it is of.
            rate: Learning rate by parameter.
        """
        dense = {name: as_dense(value) for name, value in gradient.dense.items()}
        if self._decay:
            dense = {name: value + self._decay * self._dense[name] for name, value in dense.items()}
        self._dense, self._state = optimizers.step(self._kind, rate, self._dense, dense, self._state, step.active)
        if self._rows.values:
            self._rows.descend(gradient.rows, step, rate, self._decay)

    def update(self) -> OwnUpdate:
        """What the clients keep."""
        bucket, rows = self._bucket, self._rows
        tables = Copy(bucket.items, bucket.counts, {}, rows.values, rows.scale, continues=True) if rows.values else None
        return OwnUpdate(bucket.clients, self._dense, self._state, tables, shared=None)

    def length(self) -> Tensor:
        """Length ``[B]`` of the change of the private dense parameters."""
        change = norm([self._dense[name] - start for name, start in self._own.dense.items()])
        return change.to(self._bucket.clients.device).expand(len(self._bucket.clients))
