"""What the tests of the robust servers share: sparse uploads of some clients, and the same as whole vectors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fedrec.exchange import Upload
from fedrec.models.recommender import Params
from fedrec.server.robust import RobustServer
from tests.small import generator, normal

ITEMS, D = 7, 3
SHARED = {"w": (2, 2), "b": (), "e": (ITEMS, D), "f": (ITEMS, 1)}
TABLES = ("e", "f")


def made(kind: type[RobustServer], budget: int = 2**26, **options: Any) -> RobustServer:
    server = kind(optimizer="sgd", lr=1.0, **options)
    server.initialise({name: torch.zeros(shape, dtype=torch.float64) for name, shape in SHARED.items()}, TABLES)
    server.budget = budget
    return server


def uploads(seed: int, sizes: list[int], large: float = 1.0) -> Upload:
    """Uploads of clients with so many items each; the values have ties and zeros, as sums of few examples do."""
    clients, most, draw = len(sizes), max(sizes), generator(seed)
    items = torch.zeros(clients, most, dtype=torch.int64)
    rows = {name: torch.zeros(clients, most, SHARED[name][1], dtype=torch.float64) for name in TABLES}
    for place, size in enumerate(sizes):
        items[place, :size] = torch.randperm(ITEMS, generator=draw)[:size].sort().values
        for k, name in enumerate(TABLES):
            rows[name][place, :size] = (2 * normal(seed + 10 * place + k, size, SHARED[name][1])).round() * large
    dense = {"w": normal(seed + 900, clients, 2, 2).round(), "b": normal(seed + 901, clients)}
    numbers = 3 * torch.randperm(clients, generator=draw)
    return Upload(numbers, dense, rows, items, torch.tensor(sizes), ITEMS, per_client=True)


def part(upload: Upload, chosen: slice | Tensor) -> Upload:
    """Some of the clients, padded as before."""
    return Upload(
        upload.clients[chosen],
        {name: value[chosen] for name, value in upload.dense.items()},
        {name: value[chosen] for name, value in upload.rows.items()},
        upload.items[chosen],
        upload.counts[chosen],
        ITEMS,
        per_client=True,
    )


def directed(server: RobustServer, *buckets: Upload) -> Params:
    server.begin_round()
    for bucket in buckets:
        server.aggregate(bucket)
    return {name: value.clone() for name, value in server.direction().items()}


def whole(upload: Upload) -> tuple[Params, Tensor]:
    """Every client's upload as whole tables ``[C, I, D]``, and which rows it sent, ``bool [C, I]``."""
    clients = len(upload.clients)
    values = {name: value.clone() for name, value in upload.dense.items()}
    sent = torch.zeros(clients, ITEMS, dtype=torch.bool)
    for name, rows in upload.rows.items():
        values[name] = torch.zeros(clients, ITEMS, rows.shape[2], dtype=rows.dtype)
        for client in range(clients):
            for place in range(int(upload.counts[client])):
                item = int(upload.items[client, place])
                values[name][client, item] = rows[client, place]
                sent[client, item] = True
    return values, sent
