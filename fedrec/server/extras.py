"""What a server sends beside the shared parameters, and what it remembers for that.

Every client downloads it, and it counts among the bytes (``Broadcast.num_bytes``). What it remembers are buffers, which
checkpoints hold; what it gathers during a round counts only when the round ends.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fedrec.errors import InputError
from fedrec.exchange import OneTable, Table, Upload
from fedrec.models.recommender import Params
from fedrec.processes import Processes


class Extra(nn.Module, ABC):
    """One thing that a server sends beside the shared parameters; listed under ``model.server.sends``."""

    def initialise(self, shared: Params, item_tables: Sequence[str]) -> None:
        """Make what is remembered, for these initial parameters."""
        self.item_tables = tuple(item_tables)

    def begin_round(self) -> None:
        """Forget what a round that was cut off has left."""

    def receive(self, upload: Upload) -> None:
        """Look at a bucket's uploads."""

    def reduce(self, processes: Processes) -> None:
        """Add up what the processes of a run have looked at, each its own uploads.

        Raises:
            InputError: If this one does not say how.
        """
        if not processes.alone and type(self).receive is not Extra.receive:
            name = type(self).__name__
            raise InputError(f"model.server.sends: {name} looks at uploads in one process; expected trainer.devices 1")

    def end_round(self, before: Params) -> None:
        """The server has stepped; ``before`` are the parameters from which it did."""

    @abstractmethod
    def values(self, shared: Params) -> dict[str, Tensor | Table]:
        """What is sent, by name, given the parameters as they are now."""


class LastUpdate(Extra):
    """The last step of the server, ``theta_t - theta_(t-1)``, as ``last_update.NAME``; 0 in the first round.

    It doubles what a client downloads. (FedLESAM's clients take the difference of what they received before to what
    they receive, which costs nothing, but is as old as their last round.)
    """

    def initialise(self, shared: Params, item_tables: Sequence[str]) -> None:
        """See base class."""
        super().initialise(shared, item_tables)
        for name, value in shared.items():
            self.register_buffer(name, value.detach().clone())

    def end_round(self, before: Params) -> None:
        """See base class."""
        for name, value in before.items():
            self.get_buffer(name).copy_(value)

    def values(self, shared: Params) -> dict[str, Tensor | Table]:
        """See base class."""
        steps = {name: value - self.get_buffer(name) for name, value in shared.items()}
        return {f"last_update.{n}": OneTable(step) if n in self.item_tables else step for n, step in steps.items()}


class RowFrequency(Extra):
    """How often each item's rows were uploaded, relative to the mean: ``row_frequency``, a table ``[I, 1]``.

    With n_i uploads that list item i, of all clients and rounds so far, it is ``(1 + n_i) / mean_j (1 + n_j)``: 1 for
    all in the first round, and never 0. A server sees these numbers anyway: rows without an example are not uploaded.
    They count the negatives that clients draw, too, and rows of which ``TopK`` has left nothing.
    """

    def initialise(self, shared: Params, item_tables: Sequence[str]) -> None:
        """See base class."""
        super().initialise(shared, item_tables)
        num_items = len(shared[item_tables[0]])
        self.register_buffer("counts", torch.zeros(num_items, dtype=torch.int64))
        self.register_buffer("of_round", torch.zeros(num_items, dtype=torch.int64), persistent=False)

    def begin_round(self) -> None:
        """See base class."""
        self.get_buffer("of_round").zero_()

    def receive(self, upload: Upload) -> None:
        """See base class."""
        self.get_buffer("of_round").index_add_(0, upload.items.flatten(), upload.real().long().flatten())

    def reduce(self, processes: Processes) -> None:
        """See base class."""
        self.get_buffer("of_round").copy_(processes.sum({"of_round": self.get_buffer("of_round")})["of_round"])

    def end_round(self, before: Params) -> None:
        """See base class."""
        self.get_buffer("counts").add_(self.get_buffer("of_round"))

    def values(self, shared: Params) -> dict[str, Tensor | Table]:
        """See base class."""
        more = self.get_buffer("counts").double() + 1
        return {"row_frequency": OneTable((more / more.mean()).to(shared[self.item_tables[0]].dtype)[:, None])}
