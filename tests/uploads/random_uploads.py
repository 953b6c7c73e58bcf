"""Random uploads for the tests of steps: a weight, a bias, a number, and rows of two tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from fedrec.exchange import Upload
from fedrec.models.recommender import Params
from fedrec.uploads import Exchange, UploadStep
from tests.small import generator, normal

ITEMS, USERS = 9, 20
SHAPES = {
    "w": torch.Size([2, 3]),
    "b": torch.Size([5]),
    "c": torch.Size([]),
    "e": torch.Size([ITEMS, 4]),
    "f": torch.Size([ITEMS, 1]),
}
TABLES = ("e", "f")
SIZE = sum(shape.numel() for shape in SHAPES.values())


def upload(clients: list[int], seed: int = 0, width: int = 0) -> Upload:
    """Uploads of some clients, each a function of (seed, client); ``width`` is padding beyond the largest."""
    owned = [
        torch.randperm(ITEMS, generator=generator(97 * seed + c))[: c % (ITEMS + 1)].sort().values for c in clients
    ]
    counts = torch.tensor([len(own) for own in owned], dtype=torch.int64)
    items = torch.zeros(len(clients), max([*counts.tolist(), 0]) + width, dtype=torch.int64)
    rows = {name: torch.zeros(*items.shape, SHAPES[name][1], dtype=torch.float64) for name in TABLES}
    for place, (client, own) in enumerate(zip(clients, owned, strict=True)):
        items[place, : len(own)] = own
        for table, values in rows.items():
            values[place, : len(own)] = normal(31 * client + seed + len(table), len(own), SHAPES[table][1])
    dense = {
        name: torch.stack([normal(1000 + 31 * client + seed + k, *SHAPES[name]) for client in clients])
        for k, name in enumerate(SHAPES)
        if name not in TABLES
    }
    return Upload(torch.tensor(clients), dense, rows, items, counts, ITEMS, per_client=True)


def begun(step: Any, number: int = 0, selected: list[int] | None = None, arrived: list[int] | None = None) -> Any:
    """A step that knows the sizes, in a round that has begun."""
    step.initialise(SHAPES, TABLES, USERS, seed=5)
    begin(step, number, selected, arrived)
    return step.double()


def begin(step: UploadStep, number: int, selected: list[int] | None = None, arrived: list[int] | None = None) -> None:
    """Begin a round."""
    chosen = list(range(USERS)) if selected is None else selected
    there = torch.tensor(chosen if arrived is None else arrived)
    step.begin_round(Exchange(number, 5, there, float(len(chosen)), selected=torch.tensor(chosen)))


def whole(sent: Upload) -> Params:
    """Everything as whole parameters, ``[B, *shape]`` by name."""
    return sent.whole().dense


def numbers(sent: Upload) -> Tensor:
    """All numbers of whole uploads, ``[B, N]``."""
    return flat(whole(sent))


def flat(values: Params) -> Tensor:
    """Parameters ``[B, *shape]`` by name as ``[B, N]``."""
    return torch.cat([values[name].reshape(len(values[name]), -1) for name in SHAPES], 1)


def vectors(value: Tensor) -> Tensor:
    """The vectors of a parameter ``[B, *shape]``, along the last axis; a number is one."""
    return value if value.dim() > 1 else value[:, None]


def in_whole_tables(sent: Upload) -> Upload:
    """The same upload with whole tables among the dense parameters."""
    return replace(sent, dense=whole(sent), rows={})
