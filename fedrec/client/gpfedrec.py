"""``RegularisedTables``: GPFedRec's clients move whole item tables, held near those that the graph of users gives them.

Source: Zhang et al., *GPFedRec: Graph-Guided Personalization for Federated Recommendation*, KDD 2024, arXiv:2305.07866,
and its published code. A client starts from the global table ``E``, and to the loss of its batches adds
``reg * MSE(E_u, R_u)``, a mean over the whole table: in every step every row moves towards the table ``R_u`` that the
server has made for it (``fedrec.server.gpfedrec``), also rows that the step has no example of.

Deviations: the published code's rate of the item table is ``lr * I * 80 - lr``, here ``80 lr * I`` (7e-6 more on
ML-100K); the Laplace noise that it adds to uploads is left out; the regulariser is not part of the loss that is
reported.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fedrec.client.delta_upload import DeltaUpload, MovingCopy
from fedrec.client.plan import Bucket, Step
from fedrec.client.rates import Rates
from fedrec.client.rows import MovingRows
from fedrec.client.shared_side import SharedSide
from fedrec.client.start import Origin
from fedrec.client.stores.store import Copy
from fedrec.errors import InputError
from fedrec.exchange import Upload
from fedrec.models.linear import by_client
from fedrec.models.recommender import Params, Uploads


class RegularisedTables(DeltaUpload):
    """Each client moves a whole table by SGD; what it started from minus its final table is sent, all rows of it.

    Needs a server that sends every client a table of its own, ``GraphServer``. With ``reg`` 0 the tables move as under
    ``DeltaUpload``, and what is sent is the same in another form.

    Args:
        lr: Learning rate; other shared parameters have it too.
        lr_per_item: Whether ``lr`` is multiplied by the number of items.
        reg: Strength of the regulariser, at least 0. A step of rate ``lr`` takes a row ``2 lr reg / (I d)`` of its way
            to the client's personal table: with the published values half of it, whatever the number of items.
        rates: Factors of ``lr`` by parameter, round and step; null: 1.

    Raises:
        InputError: If an option is outside its range.
    """

    whole = True

    def __init__(self, lr: float = 8.0, lr_per_item: bool = True, reg: float = 1.0, rates: Rates | None = None) -> None:
        super().__init__("sgd", lr, lr_per_item, rates)
        if not 0 <= reg < float("inf"):
            raise InputError(f"model.client.upload.reg={reg}: expected a finite number of at least 0")
        self.reg = reg

    @property
    def needs_personal_tables(self) -> bool:
        """See base class."""
        return self.reg > 0

    def begin(self, origin: Origin, bucket: Bucket, uploads: Uploads) -> SharedSide:
        """See base class."""
        return _MovingTables(self, origin, bucket)

    def working_floats(self, dense: int, row: int, items: int = 0) -> tuple[int, int]:
        """See base class: a client's table, the one that it is held to, and what it sends."""
        rows, clients = super().working_floats(dense, row, items)
        return rows, clients + 3 * items * row


class _MovingTables(MovingCopy):
    """Whole tables of a bucket's clients, while they move."""

    rule: RegularisedTables

    def moving_rows(self) -> MovingRows:
        """See base class: all rows."""
        shape = len(self.bucket.clients), self.origin.num_items, -1
        tables = {name: start.expand(shape).contiguous() for name, start in self._started().items()}
        targets = {name: self._personal(name) for name in tables} if self.rule.reg else {}
        return _HeldTables(self.bucket, tables, targets, self.rule.reg)

    def _everything(self) -> Tensor:
        return torch.arange(self.origin.num_items, device=self.bucket.items.device)[None]

    def _started(self) -> Params:
        """The tables from which the clients started, ``[B, I, D]``, or ``[1, I, D]`` where it is one for all."""
        clients = self.bucket.clients
        return {name: table.rows(clients, self._everything()) for name, table in self.origin.tables.items()}

    def _personal(self, name: str) -> Tensor:
        table = self.origin.broadcast.extras[f"personal.{name}"]
        if isinstance(table, Tensor):
            raise TypeError(f"personal.{name}: expected a table, not a parameter")
        return table.rows(self.bucket.clients, self._everything())

    def upload(self) -> Upload:
        """See base class: dense, for no row is as it was received; and no item is listed."""
        dense = {name: self.origin.dense[name] - value for name, value in self.dense.items()}
        tables = {name: start - self.rows.values[name] for name, start in self._started().items()}
        none, counts = self.bucket.items[:, :0], self.bucket.counts  # so many rows each needs of what it receives
        return Upload(self.bucket.clients, dense | tables, {}, none, counts, self.origin.num_items, per_client=True)

    def copy(self) -> Copy | None:
        """See base class: whole tables."""
        whole = self.dense | self.rows.values
        return Copy(self.bucket.items, self.bucket.counts, whole, {}, continues=self.origin.continues)


class _HeldTables(MovingRows):
    """Rows of all items, ``[B, I, D]`` by table, each held to a target of the same shape."""

    def __init__(self, bucket: Bucket, values: Params, targets: Params, reg: float) -> None:
        super().__init__(bucket, values)
        self.targets, self.reg = targets, reg

    def _places(self, step: Step) -> Tensor:
        items = self.bucket.step_items(step)
        first = torch.arange(len(items), device=items.device)[:, None] * len(next(iter(self.values.values()))[0])
        return (first + items).flatten()

    def at(self, step: Step) -> Params:
        """See base class."""
        places, shape = self._places(step), step.weight.shape
        return {n: x.flatten(0, 1).index_select(0, places).view(*shape, -1) for n, x in self.values.items()}

    def _share(self, share: float) -> float:
        """The share of its way to the target that a row goes in a step."""
        if share >= 2:
            raise InputError(
                f"model.client.upload.reg={self.reg:g}: at this rate a step goes {share:.3g} times the way to the "
                "personal table; expected less than 2, for beyond it tables only move away"
            )
        return share

    def descend(self, gradients: Params, step: Step, rate: Callable[[str], float], decay: float = 0.0) -> None:
        """See base class: every row is pulled, then those of the step's entries move along their gradients."""
        places = self._places(step)
        for name, gradient in gradients.items():
            table = self.values[name]
            if name in self.targets:
                pull = table.new_full((len(table),), self._share(2 * rate(name) * self.reg / table[0].numel()))
                pull = pull if step.active is None else pull * step.active  # clients without such a step rest
                table.lerp_(self.targets[name], by_client(pull, table))
            # Gradients of padding are 0, whatever item stands for it.
            table.flatten(0, 1).index_add_(0, places, gradient.flatten(0, 1), alpha=-rate(name))
