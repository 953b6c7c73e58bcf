"""A server that sends every client a table of its own to start from, and a penalty that holds it to another.

A client's table is half its own last upload and half the mean. (GPFedRec's clients start from one table, and are held
to tables of their own by their upload rule.)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fedrec.client.context import StepContext
from fedrec.client.part import Gradients, Point
from fedrec.client.penalties import Penalty, pull_rows
from fedrec.exchange import Broadcast, OneTable, TablePerClient, Upload
from fedrec.models.recommender import Params, Uploads
from fedrec.server import MeanServer


class NeighbourServer(MeanServer):
    """Holds a table per client, ``[U, I, D]``."""

    uploads: Uploads = "per_client"

    def __init__(self, users: int, lr: float = 1.0) -> None:
        super().__init__("sgd", lr)
        self.users = users

    def initialise(self, shared: Params, item_tables: Sequence[str], num_users: int = 0, seed: int = 0) -> None:
        super().initialise(shared, item_tables)
        self.register_buffer("held", shared["item"].repeat(self.users, 1, 1))

    def broadcast(self, round_: int, clients: Tensor) -> Broadcast:
        held, mean = self.get_buffer("held"), self.shared["item"].detach()
        self._sent = TablePerClient((held[clients] + mean) / 2, torch.empty(self.users, dtype=torch.int64))
        self._sent.place[clients] = torch.arange(len(clients))
        return Broadcast(round_, {}, {"item": self._sent}, {"mean": OneTable(mean)})

    def aggregate(self, upload: Upload) -> None:
        real = upload.real()
        owners = upload.clients[:, None].expand_as(upload.items)[real]
        sent = self._sent.rows(upload.clients, upload.items)
        self.get_buffer("held")[owners, upload.items[real]] = (sent - upload.rows["item"])[real]
        super().aggregate(upload.summed())


class PullToMean(Penalty):
    """``strength / 2 ||row - mean row||^2`` for the rows of a step."""

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def add(self, gradients: Gradients, point: Point, context: StepContext) -> None:
        pull_rows(
            gradients.shared.rows, self.strength, point.shared.rows, {"item": context.extra("mean")}, context.real
        )

    def value(self, point: Point, context: StepContext) -> Tensor:
        distance = (point.shared.rows["item"] - context.extra("mean")) * context.real
        return self.strength / 2 * distance.square().sum((1, 2))
