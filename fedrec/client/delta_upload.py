"""``DeltaUpload``: each client moves a copy of the shared parameters of its own; start minus final is sent.

Source: FedAvg (McMahan et al., arXiv:1602.05629), whose mean of parameters is a server with SGD and rate 1.
"""

from __future__ import annotations

from fedrec.client import optimizer as optimizers
from fedrec.client.optimizer import Kind, OptimizerState
from fedrec.client.part import Part, Values
from fedrec.client.plan import Bucket, Step
from fedrec.client.rates import Rates, check_rate
from fedrec.client.rows import MovingRows
from fedrec.client.shared_side import SharedSide, UploadRule
from fedrec.client.start import Origin
from fedrec.client.stores.store import Copy
from fedrec.errors import InputError
from fedrec.exchange import OneTable, Upload
from fedrec.models.linear import as_dense
from fedrec.models.recommender import Params, Uploads


class DeltaUpload(UploadRule):
    """Each client moves its own copy, held for its own rows alone; what it started from minus its final copy is sent.

    Args:
        optimizer: The copy's optimiser, fresh in each round.
        lr: Its learning rate.
        lr_per_item: Whether ``lr`` is multiplied by the number of items, as PFedRec's is.
        rates: Factors of ``lr`` by parameter, round and step; null: 1.
        weight_decay: Decay of the whole copy in each step of SGD, rows without an example included (these by one
            scalar per client and table, exactly); 0: none.
        row_mean: Whether an item row moves along the mean over its own examples in a step, instead of along its part of
            the mean over the whole batch. This is PyTorch's ``scale_grad_by_freq`` with the batch size in the rate, as
            CoLR's published code has it (Nguyen et al., WWW 2024): rare and frequent items move alike.
        row_decay: Weight decay of the item rows of a step's examples alone, at least 0; it acts on a row as a whole,
            whatever its number of examples.
    """

    moves = True

    def __init__(
        self,
        optimizer: Kind = "sgd",
        lr: float = 1.0,
        lr_per_item: bool = False,
        rates: Rates | None = None,
        weight_decay: float = 0.0,
        row_mean: bool = False,
        row_decay: float = 0.0,
    ) -> None:
        check_rate("model.client.upload.lr", lr)
        for name, value in {"weight_decay": weight_decay, "row_decay": row_decay}.items():
            if not 0 <= value < float("inf"):
                raise InputError(f"model.client.upload.{name}={value}: expected a finite number of at least 0")
        if weight_decay and optimizer != "sgd":
            raise InputError("model.client.upload.weight_decay: needs optimizer=sgd, whose decay one scalar can carry")
        self.optimizer, self.lr, self.lr_per_item = optimizer, lr, lr_per_item
        self.rates, self.weight_decay = rates or Rates(), weight_decay
        self.row_mean, self.row_decay = row_mean, row_decay
        self.decays = weight_decay > 0

    def begin(self, origin: Origin, bucket: Bucket, uploads: Uploads) -> SharedSide:
        """See base class."""
        if self.decays and not all(isinstance(table, OneTable) for table in origin.tables.values()):
            raise InputError(
                "model.client.upload.weight_decay: what shrinks is told to the server by one number for its own table; "
                "here it sends a table per client"
            )
        return MovingCopy(self, origin, bucket)

    def working_floats(self, dense: int, row: int, items: int = 0) -> tuple[int, int]:
        """See base class: the copy and its optimiser's moments, before and after a step."""
        copies = 2 if self.optimizer == "sgd" else 6
        return copies * row, copies * dense


class MovingCopy(SharedSide):
    """The clients' copies. The optimiser acts as on full copies: rows without an example have no gradient.

    Adam's moments of such rows stay 0, so that only decay moves them.

    Attributes:
        rule: The rule's options.
        dense: The copies' dense parameters now, ``[B, *shape]``.
        rows: The copies' item rows now.
    """

    uploads: Uploads = "per_client"

    def __init__(self, rule: DeltaUpload, origin: Origin, bucket: Bucket) -> None:
        super().__init__(origin, bucket)
        self.rule, self._moved = rule, False
        clients = len(bucket.clients)
        self.dense = {
            name: value if origin.per_client else value.expand(clients, *value.shape)
            for name, value in origin.dense.items()
        }
        self.rows = self.moving_rows()
        self._state = OptimizerState.initial(rule.optimizer, self.dense | self.rows.values, clients)

    def moving_rows(self) -> MovingRows:
        """What moves for each of the clients' items: by default its rows themselves."""
        return MovingRows(self.bucket, self.received())

    def received(self) -> Params:
        """The rows of the clients' items from which they started, ``[B, P, D]`` by table."""
        clients, items = self.bucket.clients, self.bucket.items
        return {name: table.rows(clients, items) for name, table in self.origin.tables.items()}

    def values(self, step: Step) -> Values:
        """See base class."""
        return Values(dict(self.dense if self._moved else self.origin.dense), self.rows.at(step))

    def features(self, step: Step) -> Params:
        """See base class: until the first step all clients stand where the server does."""
        return {} if self._moved else self.origin.item_features(self.bucket.step_items(step))

    def take(self, gradient: Part, step: Step, number: int) -> None:
        """See base class."""
        rows, self._moved = self.row_gradients(gradient.rows, step), True
        rule, dense = self.rule, {name: as_dense(value) for name, value in gradient.dense.items()}

        def rate(name: str) -> float:
            """The learning rate of a parameter in this step."""
            items = self.origin.num_items if rule.lr_per_item else 1
            return rule.lr * items * rule.rates.of(name, self.origin.broadcast.round, number)

        if rule.optimizer == "sgd":
            if rule.weight_decay:
                dense = {name: value + rule.weight_decay * self.dense[name] for name, value in dense.items()}
            self.dense, _ = optimizers.step("sgd", rate, self.dense, dense, self._state, step.active)
            self.rows.descend(rows, step, rate, rule.weight_decay)
            return
        gradients = dense | self.rows.spread(rows, step)
        parameters = self.dense | self.rows.values
        moved, self._state = optimizers.step("adam", rate, parameters, gradients, self._state, step.active)
        self.dense = {name: moved[name] for name in self.dense}
        self.rows.values = {name: moved[name] for name in self.rows.values}

    def row_gradients(self, gradient: Params, step: Step) -> Params:
        """Gradients ``[B, S, D]`` of the rows of a step's entries as the optimiser sees them."""
        rule, weight = self.rule, step.weight[..., None]
        if rule.row_mean:  # an entry's weight is the sum of its examples' weights; padding has none, and no gradient
            gradient = {name: value / weight.where(weight > 0, 1.0) for name, value in gradient.items()}
        if rule.row_decay:
            now = self.values(step).rows
            gradient = {n: value + rule.row_decay * now[n] * (weight > 0) for n, value in gradient.items()}
        return gradient

    def upload(self) -> Upload:
        """See base class."""
        bucket, origin = self.bucket, self.origin
        dense = {name: origin.dense[name] - value for name, value in self.dense.items()}
        rows, sizes = self.change(), (bucket.items, bucket.counts, origin.num_items)
        upload = Upload(bucket.clients, dense, rows, *sizes, per_client=True, scale=self.rows.scale)
        for name in upload.scale:  # padding decayed like any row, and must send nothing
            rows[name] *= upload.real()[..., None]
        return upload

    def change(self) -> Params:
        """What is sent of the item rows, ``[B, P, K]`` by table: by default their start minus what they are now."""
        return {name: start - self.rows.values[name] for name, start in self.received().items()}

    def copy(self) -> Copy | None:
        """See base class."""
        bucket, rows, continues = self.bucket, self.rows, self.origin.continues
        return Copy(bucket.items, bucket.counts, self.dense, rows.values, rows.scale, continues)
