"""What travels between server and clients: the broadcast on its way down, uploads on their way up, and their bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from fedrec.encoding import Encoding, Encodings
from fedrec.models.recommender import Params

BYTES = 4  # of a float32, in which parameters travel


def flat(value: Tensor) -> Tensor:
    """What B clients have of a parameter, ``[B, *shape]``, as ``[B, N]``."""
    return value.reshape(len(value), value.shape[1:].numel())


class Table(Protocol):
    """An item table ``[I, D]`` as clients read it: one for all of them, or one for each."""

    @property
    def shape(self) -> tuple[int, int]:
        """Number of items I and size of a row D."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the rows."""
        ...

    def rows(self, clients: Tensor, items: Tensor) -> Tensor:
        """Rows ``[B, P, D]`` that ``clients [B]`` have at ``items [B, P]``, in memory that the caller may overwrite.

        ``items`` may be ``[1, P]``: the same items for all clients. The result may then be ``[1, P, D]``, if all
        clients read the same table.
        """
        ...


@dataclass(frozen=True)
class OneTable:
    """The same table for all clients: ``weight [I, D]``."""

    weight: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """See :class:`Table`."""
        return self.weight.shape[0], self.weight.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """See :class:`Table`."""
        return self.weight.dtype

    def rows(self, clients: Tensor, items: Tensor) -> Tensor:
        """See :class:`Table`."""
        return self.weight.index_select(0, items.flatten()).view(*items.shape, self.weight.shape[1])


@dataclass(frozen=True)
class TablePerClient:
    """A table for each client.

    Attributes:
        weight: ``[V, I, D]``.
        place: ``int64 [U]`` which of them is a client's.
    """

    weight: Tensor
    place: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """See :class:`Table`."""
        return self.weight.shape[1], self.weight.shape[2]

    @property
    def dtype(self) -> torch.dtype:
        """See :class:`Table`."""
        return self.weight.dtype

    def rows(self, clients: Tensor, items: Tensor) -> Tensor:
        """See :class:`Table`."""
        return self.weight[self.place[clients][:, None], items]


@dataclass(frozen=True)
class Broadcast:
    """What the server sends to the clients of a round.

    Attributes:
        round: Number of the round, from 0.
        dense: Shared dense parameters ``[*shape]``.
        tables: Shared item tables.
        extras: What a method sends beside the parameters, by a name of its own.
    """

    round: int
    dense: Params
    tables: Mapping[str, Table]
    extras: Mapping[str, Tensor | Table] = field(default_factory=dict)

    def num_bytes(self) -> int:
        """Bytes that one client receives."""
        sent = (*self.dense.values(), *self.tables.values(), *self.extras.values())
        return BYTES * sum(math.prod(value.shape) for value in sent)

    def touched_bytes(self, counts: Tensor) -> Tensor:
        """Bytes that each client receives where only the rows of its own ``counts [B]`` items travel, ``[B]``."""
        extras = self.extras.values()
        tables = [*self.tables.values(), *(value for value in extras if not isinstance(value, Tensor))]
        dense = [*self.dense.values(), *(value for value in extras if isinstance(value, Tensor))]
        row = sum(table.shape[1] for table in tables)
        return BYTES * (counts * row + sum(value.numel() for value in dense))


@dataclass(frozen=True)
class Upload:
    """What B clients send.

    Attributes:
        clients: ``int64 [B]`` user indices.
        dense: Dense parameters by name, and item tables of which every client sends all rows: ``[B, *shape]`` if
            ``per_client``, else summed over the clients, ``[*shape]``.
        rows: Item rows ``[B, P, K]`` by table (padding: 0); K is the table's own D unless the method sends something
            else in its place.
        items: ``int64 [B, P]`` items of the rows (padding: 0).
        counts: ``int64 [B]`` number of rows of each client; the rest is padding. Of clients that move whole tables, in
            whose ``items`` none is listed, how many rows they need of what they receive.
        num_items: Number of items I.
        per_client: Whether ``dense`` has a client axis.
        scale: ``[B]`` by table: by what the rows that are not listed were multiplied, for clients whose whole table
            decays; empty where those rows are as received.
        encodings: In which forms the clients can write it down, where a step on the way has encoded the numbers; None:
            float32 numbers travel.
    """

    clients: Tensor
    dense: Params
    rows: Params
    items: Tensor
    counts: Tensor
    num_items: int
    per_client: bool
    scale: Params = field(default_factory=dict)
    encodings: Encodings | None = None

    def num_bytes(self) -> int:
        """Bytes that one client sends: dense parameters and whole tables, as the published codes send them."""
        clients = len(self.clients) if self.per_client else 1
        dense = sum(value.numel() for value in self.dense.values()) // max(1, clients)
        return BYTES * (dense + self.num_items * sum(rows.shape[2] for rows in self.rows.values()))

    def total_bytes(self) -> int:
        """Bytes that all the clients send; where they send no numbers, the items are it, an index of 4 bytes each."""
        if self.encodings:
            return int(self.encodings.num_bytes(self.encodings.whole).sum())
        numbers = self.dense or self.rows
        return len(self.clients) * self.num_bytes() if numbers else BYTES * int(self.counts.sum())

    def touched_bytes(self) -> Tensor:
        """Bytes that each client sends where only its own rows travel, each with the number of its item, ``[B]``.

        It is less, and tells the server which items a client has.
        """
        if self.encodings:
            return self.encodings.num_bytes(self.encodings.own)
        if not self.dense and not self.rows:
            return BYTES * self.counts
        rest = self.num_bytes() - BYTES * self.num_items * sum(rows.shape[2] for rows in self.rows.values())
        row = sum(rows.shape[2] for rows in self.rows.values())
        return self.counts * (BYTES * (row + 1 if row else 0)) + (rest + BYTES * len(self.scale))

    def encoded(self) -> Encodings:
        """In which forms the clients can write it down; needs ``per_client``."""
        if self.encodings:
            return self.encodings
        none = torch.zeros_like(self.counts)
        shapes = [value.shape[1:] for value in self.dense.values()]
        dense, vectors = sum(shape.numel() for shape in shapes), sum(shape[:-1].numel() for shape in shapes)
        tables, row = len(self.rows), sum(rows.shape[2] for rows in self.rows.values())
        whole = Encoding(none + dense + self.num_items * row, none + vectors + self.num_items * tables, none)
        own = Encoding(none + dense + self.counts * row, none + vectors + self.counts * tables, self.counts * bool(row))
        return Encodings(whole, own)

    def summed(self) -> Upload:
        """The same with ``dense`` summed over the clients."""
        if not self.per_client:
            return self
        return replace(self, dense={name: value.sum(0) for name, value in self.dense.items()}, per_client=False)

    def whole(self) -> Upload:
        """The same with whole item tables ``[B, I, K]`` among ``dense`` in place of rows; needs ``per_client``.

        No items are listed any more: of a whole table nobody sees whose rows they are.
        """
        clients, index = len(self.clients), self.items[..., None]
        tables = {
            name: rows.new_zeros(clients, self.num_items, rows.shape[2]).scatter_add_(1, index.expand_as(rows), rows)
            for name, rows in self.rows.items()
        }
        none = torch.zeros_like(self.counts)
        return replace(self, dense=self.dense | tables, rows={}, items=self.items[:, :0], counts=none)

    def real(self) -> Tensor:
        """Which rows are not padding, ``bool [B, P]``."""
        return torch.arange(self.items.shape[1], device=self.items.device) < self.counts[:, None]
