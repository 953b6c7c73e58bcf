"""``DecayedRows``: a private item table for each client, as rows over one initial table and a scalar per client.

A client's table begins as a copy of an initial table that all clients share. What training touches becomes the client's
own row; weight decay multiplies all other rows by the same number, which one scalar per client and table carries
exactly. The source is FedRAP (Li et al., ICLR 2024), whose clients add a private table to the server's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fedrec.client.stores.store import Copy, Store
from fedrec.exchange import Broadcast, OneTable, Table
from fedrec.limit import Limit
from fedrec.models.recommender import Params
from fedrec.ragged import RaggedRows


class DecayedRows(Store):
    """Each client's own item rows; its other rows are those of an initial table, times a scalar of the client.

    The initial tables are buffers ``initial_<name> [I, D]``, the scalars ``scale_<name> [U]``. Every round with
    new negatives makes more rows the clients' own, in the end nearly all of ``U x I``; that size is refused above the
    limit before the first round.

    Args:
        limit_mib: How much all clients' own rows may come to take.

    Attributes:
        own: The clients' own rows.
    """

    needs_copy = False
    holds_shared = False
    holds_private = True
    scales = True

    def __init__(self, limit_mib: float = 2048.0) -> None:
        super().__init__()
        self.own = RaggedRows(Limit("DecayedRows", limit_mib, "model.client.table_store"))
        self._handed_in: list[tuple[Tensor, Params]] = []
        self._names: tuple[str, ...] = ()
        self._num_items = 0

    def initialise(self, num_users: int, tables: Params, dense: Params) -> None:
        """See base class."""
        self._names, self._num_items = tuple(tables), len(next(iter(tables.values())))
        row = self.own.keys.element_size() + sum(t.shape[1] * t.element_size() for t in tables.values())
        what = f"a row for each of {num_users:,} clients and {self._num_items:,} items, once all have been trained,"
        self.own.limit.check(num_users * self._num_items * row, what)
        for name, table in tables.items():
            self.register_buffer(f"initial_{name}", table)
            self.register_buffer(f"scale_{name}", table.new_ones(num_users))

    def begin_round(self) -> None:
        """See base class."""
        self._handed_in.clear()
        self.own.begin_round()

    def write(self, clients: Tensor, copy: Copy) -> None:
        """See base class."""
        self._handed_in.append((clients, copy.scale))
        self.own.write(clients, copy, self._num_items)

    def end_round(self, broadcast: Broadcast) -> None:
        """See base class: what was not touched in this round shrinks, older own rows included."""
        owners, handed_in = self.own.owners(), self._handed_in
        for name in {name for _, scale in handed_in for name in scale}:
            shrunk = self.get_buffer(f"scale_{name}")
            factor = torch.ones_like(shrunk)
            for clients, scale in handed_in:
                factor.index_copy_(0, clients, scale[name])
            shrunk *= factor
            if name in self.own.rows:
                self.own.rows[name] = self.own.rows[name] * factor[owners][:, None]
        self._handed_in.clear()
        self.own.merge()  # this round's rows take the places of the ones that shrank

    def tables(self, served: Mapping[str, Table]) -> Mapping[str, Table]:
        """See base class."""
        return {name: _Decayed(self, name) for name in self._names}

    def mean_tables(self, served: Mapping[str, Table]) -> Mapping[str, Table]:
        """Every row's mean over all clients, computed once."""
        return {name: OneTable(self._mean(name)) for name in self._names}

    def _mean(self, name: str) -> Tensor:
        """Mean over clients of ``scale_u initial_i``, corrected where clients have rows of their own."""
        initial, scale = self.get_buffer(f"initial_{name}"), self.get_buffer(f"scale_{name}")
        total = initial * scale.sum()
        if name in self.own.rows:
            owners, items = self.own.owners(), self.own.items()
            total.index_add_(0, items, self.own.rows[name] - scale[owners][:, None] * initial[items])
        return total / len(scale)

    def num_bytes(self) -> int:
        """See base class."""
        return super().num_bytes() + self.own.num_bytes()


@dataclass(frozen=True)
class _Decayed:
    """One private table as clients read it, through :class:`DecayedRows`."""

    store: DecayedRows
    name: str

    @property
    def shape(self) -> tuple[int, int]:
        """See :class:`~fedrec.exchange.Table`."""
        size: tuple[int, int] = tuple(self.store.get_buffer(f"initial_{self.name}").shape)  # type: ignore[assignment]
        return size

    @property
    def dtype(self) -> torch.dtype:
        """See :class:`~fedrec.exchange.Table`."""
        return self.store.get_buffer(f"initial_{self.name}").dtype

    def rows(self, clients: Tensor, items: Tensor) -> Tensor:
        """See :class:`~fedrec.exchange.Table`."""
        items = items.expand(len(clients), -1)
        base = OneTable(self.store.get_buffer(f"initial_{self.name}")).rows(clients, items)
        base *= self.store.get_buffer(f"scale_{self.name}")[clients][:, None, None]
        return self.store.own.over(base, self.name, clients, items)
