"""``FullTables``: a whole item table for each client, for methods that by definition have one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from fedrec.client.stores.store import Copy, Store
from fedrec.errors import InputError
from fedrec.exchange import Broadcast, OneTable, Table, TablePerClient
from fedrec.models.linear import by_client
from fedrec.models.recommender import Params


class FullTables(Store):
    """Buffers ``table_<name> [U, I, D]``; as large as it says, and refused above a limit.

    Args:
        limit_mib: How much all clients' tables may take.
    """

    def __init__(self, limit_mib: float = 2048.0) -> None:
        super().__init__()
        if not 0 < limit_mib < float("inf"):
            raise InputError(f"model.client.store.limit_mib={limit_mib}: expected a finite number of MiB above 0")
        self.limit_mib = limit_mib
        self._names: tuple[str, ...] = ()
        self._handed_in: list[tuple[Tensor, Copy]] = []

    def initialise(self, num_users: int, tables: Params, dense: Params) -> None:
        """See base class."""
        needed = num_users * sum(table.numel() * table.element_size() for table in tables.values()) / 2**20
        if needed > self.limit_mib:
            raise InputError(
                f"model.client.store=FullTables: a table for each of {num_users} clients takes {needed:,.0f} MiB, "
                f"above limit_mib={self.limit_mib:g}; raise it if the memory is there"
            )
        self._names = tuple(tables)
        for name, table in tables.items():
            self.register_buffer(f"table_{name}", table.repeat(num_users, 1, 1))

    def begin_round(self) -> None:
        """See base class."""
        self._handed_in.clear()

    def write(self, clients: Tensor, copy: Copy) -> None:
        """See base class."""
        self._handed_in.append((clients, copy))

    def end_round(self, broadcast: Broadcast) -> None:
        """See base class; rows that are not listed are as the clients' tables were when the round began."""
        for clients, copy in self._handed_in:
            real = copy.real()
            owners, items = clients[:, None].expand_as(copy.items)[real], copy.items[real]
            for name, rows in copy.rows.items():
                table = self.get_buffer(f"table_{name}")
                if name in broadcast.tables and not copy.continues:
                    everything = torch.arange(table.shape[1], device=table.device)[None]
                    table[clients] = broadcast.tables[name].rows(clients, everything.expand(len(clients), -1))
                if name in copy.scale:
                    table[clients] *= by_client(copy.scale[name], table)
                table[owners, items] = rows[real]
        self._handed_in.clear()

    def tables(self, served: Mapping[str, Table]) -> Mapping[str, Table]:
        """See base class."""
        tables = {name: self.get_buffer(f"table_{name}") for name in self._names}
        return {name: TablePerClient(t, torch.arange(len(t), device=t.device)) for name, t in tables.items()}

    def mean_tables(self, served: Mapping[str, Table]) -> Mapping[str, Table]:
        """The mean of all clients' tables."""
        return {name: OneTable(self.get_buffer(f"table_{name}").mean(0)) for name in self._names}
