"""``FullTables``: a whole item table for each client, for methods that by definition have one.

As ``table_store`` these are private tables, the clients' own from the start. As ``store`` they are copies of the
server's: a client reads the server's until it has taken part, and its copy is made anew in every round that it starts
from what the server sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fedrec.client.stores.store import Copy, Store
from fedrec.exchange import Broadcast, OneTable, Table
from fedrec.limit import Limit
from fedrec.models.linear import by_client
from fedrec.models.recommender import Params


class FullTables(Store):
    """A whole table for each client, as buffers ``table_<name> [U, I, D]``; refused where they would be too large.

    Args:
        limit_mib: How much all clients' tables may take.

    Attributes:
        taken: ``bool [U]`` clients that have taken part.
    """

    taken: Tensor

    holds_private = True
    whole = True
    scales = True

    def __init__(self, limit_mib: float = 2048.0) -> None:
        super().__init__()
        self.limit = Limit("FullTables", limit_mib)
        self.register_buffer("taken", torch.zeros(0, dtype=torch.bool))
        self._names: tuple[str, ...] = ()
        self._handed_in: list[tuple[Tensor, Copy]] = []

    def initialise(self, num_users: int, tables: Params, dense: Params) -> None:
        """See base class."""
        size = sum(table.numel() * table.element_size() for table in tables.values())
        self.limit.check(num_users * size, f"a table for each of {num_users:,} clients")
        self._names, self.taken = tuple(tables), torch.zeros(num_users, dtype=torch.bool)
        for name, table in tables.items():
            self.register_buffer(f"table_{name}", table.repeat(num_users, 1, 1))

    def begin_round(self) -> None:
        """See base class."""
        self._handed_in.clear()

    def write(self, clients: Tensor, copy: Copy) -> None:
        """See base class."""
        whole = {name: value for name, value in copy.dense.items() if name in self._names}
        self._handed_in.append((clients, replace(copy, dense=whole)))  # held until the round ends: tables alone

    def end_round(self, broadcast: Broadcast) -> None:
        """See base class; rows that are not listed are as the clients' tables were when the round began."""
        for clients, copy in self._handed_in:
            renewed = clients[~self.taken[clients]] if copy.continues else clients
            for name, rows in copy.rows.items():
                table = self.get_buffer(f"table_{name}")
                if name in broadcast.tables:
                    table[renewed] = broadcast.tables[name].rows(renewed, _all_items(table))
                if name in copy.scale:
                    table[clients] *= by_client(copy.scale[name], table)
                real = copy.real().flatten().nonzero()[:, 0]
                owners = clients.repeat_interleave(copy.items.shape[1])[real]
                table[owners, copy.items.flatten()[real]] = rows.flatten(0, 1)[real]
            for name, tables in copy.dense.items():
                self.get_buffer(f"table_{name}").index_copy_(0, clients, tables)
            self.taken[clients] = True
        self._handed_in.clear()

    def tables(self, served: Mapping[str, Table]) -> Mapping[str, Table]:
        """See base class."""
        return {name: _Full(self.get_buffer(f"table_{name}"), self.taken, served.get(name)) for name in self._names}

    def mean_tables(self, served: Mapping[str, Table]) -> Mapping[str, Table]:
        """See base class: copies of the server's tables give way to them, private tables to their mean."""
        return {name: served.get(name) or OneTable(self.get_buffer(f"table_{name}").mean(0)) for name in self._names}


def _all_items(table: Tensor) -> Tensor:
    return torch.arange(table.shape[1], device=table.device)[None]


@dataclass(frozen=True)
class _Full:
    """One table as clients read it, through :class:`FullTables`: ``weight [U, I, D]``, or the server's at first."""

    weight: Tensor
    taken: Tensor
    served: Table | None

    @property
    def shape(self) -> tuple[int, int]:
        """See :class:`~fedrec.exchange.Table`."""
        return self.weight.shape[1], self.weight.shape[2]

    @property
    def dtype(self) -> torch.dtype:
        """See :class:`~fedrec.exchange.Table`."""
        return self.weight.dtype

    def rows(self, clients: Tensor, items: Tensor) -> Tensor:
        """See :class:`~fedrec.exchange.Table`."""
        own = self.weight[clients[:, None], items]
        if self.served is None:
            return own
        return torch.where(self.taken[clients][:, None, None], own, self.served.rows(clients, items))
