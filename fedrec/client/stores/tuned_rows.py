"""``TunedRows``: clients keep the rows that they tuned, over the table of the round in which each last took part.

Source: PFedRec (Zhang et al., IJCAI 2023, arXiv:2301.08143), whose clients score with their own tuned item table. A
table for each client would be ``U x I x D`` numbers; it differs from the table of its last round only in its own rows.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from fedrec.client.stores.store import Copy, Store
from fedrec.errors import InputError
from fedrec.exchange import Broadcast, OneTable, Table
from fedrec.limit import Limit
from fedrec.models.recommender import Params
from fedrec.ragged import RaggedRows


class TunedRows(Store):
    """Item rows that clients tuned, over the server's table of the round in which each client last took part.

    A table of an earlier round is held as long as any client still reads it. With full participation that is one table;
    where a share f of the clients takes part in a round, about ``1/f ln U`` of them.

    Args:
        limit_mib: How much all clients' own rows may take; a round that would go beyond ends the run.

    Attributes:
        table_of: ``int64 [U]`` place of the client's table in ``versions``, or -1: it has not taken part yet.
        versions: Broadcast tables still needed, ``[V, I, D]`` by table name.
        own: The clients' own rows.
    """

    table_of: Tensor

    def __init__(self, limit_mib: float = 2048.0) -> None:
        super().__init__()
        self.register_buffer("table_of", torch.zeros(0, dtype=torch.int64))
        self.versions: Params = {}
        self.own = RaggedRows(Limit(type(self).__name__, limit_mib, "model.client.store"))
        self._clients: list[Tensor] = []
        self._continues, self._num_items = False, 0

    def initialise(self, num_users: int, tables: Params, dense: Params) -> None:
        """See base class."""
        self.table_of = torch.full((num_users,), -1)
        self._num_items = len(next(iter(tables.values())))

    def get_extra_state(self) -> dict[str, Any]:
        """Tables of earlier rounds: how many changes from round to round, which buffers cannot."""
        return {"versions": self.versions}

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`get_extra_state`; what is given is copied, as ``load_state_dict`` copies buffers."""
        device = self.table_of.device
        self.versions = {name: copy.deepcopy(value).to(device) for name, value in state["versions"].items()}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.versions = {name: fn(value) for name, value in self.versions.items()}
        return super()._apply(fn, recurse)  # type: ignore[no-any-return, no-untyped-call]

    def begin_round(self) -> None:
        """See base class."""
        self._clients.clear()
        self.own.begin_round()

    def write(self, clients: Tensor, copy: Copy) -> None:
        """See base class."""
        if copy.scale:
            raise InputError("model.client.store=TunedRows: rows that decay need a store that scales them, FullTables")
        self._clients.append(clients)
        self._continues = copy.continues
        self.own.write(clients, copy, self._num_items)

    def end_round(self, broadcast: Broadcast) -> None:
        """See base class; the clients that took part now read the round's table below their own rows."""
        if not self._clients:
            return
        clients = torch.cat(self._clients)
        self._clients.clear()
        # Who goes on from its own copy keeps the table under it; everybody else's rows are over this round's table.
        renewed = clients[self.table_of[clients] < 0] if self._continues else clients
        held = len(next(iter(self.versions.values()), ()))
        self.table_of[renewed] = held
        owners = (self.table_of >= 0).nonzero()[:, 0]
        needed, place = torch.unique(self.table_of[owners], return_inverse=True)
        self.table_of[owners] = place  # tables that no client needs any more are dropped
        older = needed[: len(needed) - bool(len(renewed))]  # this round's table is the last
        for name, table in broadcast.tables.items():
            if not isinstance(table, OneTable):
                raise InputError(
                    "model.client.store=TunedRows: the server sends a table per client, FullTables keeps it"
                )
            weight = table.weight[None]
            still = self.versions.get(name, weight[:0])[older]
            self.versions[name] = torch.cat([still, weight]) if len(renewed) else still
        self.own.merge(forget=renewed, others=len(renewed) < len(clients))

    def tables(self, served: Mapping[str, Table]) -> Mapping[str, Table]:
        """See base class."""
        return {name: _Tuned(self, name, table) for name, table in served.items()}

    def num_bytes(self) -> int:
        """See base class."""
        versions = sum(value.numel() * value.element_size() for value in self.versions.values())
        return super().num_bytes() + versions + self.own.num_bytes()


@dataclass(frozen=True)
class _Tuned:
    """One table as clients read it, through :class:`TunedRows`."""

    store: TunedRows
    name: str
    served: Table

    @property
    def shape(self) -> tuple[int, int]:
        """See :class:`~fedrec.exchange.Table`."""
        return self.served.shape

    @property
    def dtype(self) -> torch.dtype:
        """See :class:`~fedrec.exchange.Table`."""
        return self.served.dtype

    def rows(self, clients: Tensor, items: Tensor) -> Tensor:
        """See :class:`~fedrec.exchange.Table`."""
        items = items.expand(len(clients), -1)
        served = self.served.rows(clients, items)
        versions = self.store.versions.get(self.name)
        if versions is None:
            return served
        version = self.store.table_of[clients][:, None].expand_as(items)
        base = torch.where((version >= 0)[..., None], versions[version.clamp(min=0), items], served)
        return self.store.own.over(base, self.name, clients, items)
