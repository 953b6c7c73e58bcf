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
from torch.nn.functional import pad

from fedrec.client.stores.store import Copy, Store
from fedrec.client.stores.versions import Packing, Versions, expected
from fedrec.errors import InputError
from fedrec.exchange import Broadcast, OneTable, Table
from fedrec.limit import Limit
from fedrec.models.recommender import Params
from fedrec.ragged import RaggedRows

# Share of all pairs of a client and an item up to which the clients' own rows are scored a second time; on ML-100K that
# takes a third to a half of the time at shares of 0.25 to 0.54.
FEW = 0.5


class TunedRows(Store):
    """Item rows that clients tuned, over the server's table of the round in which each client last took part.

    A table of an earlier round is held as long as any client still reads it. With full participation that is one table;
    where a share f of the U clients takes part in a round, about ``1/f ln(f U)`` of them (or one for each round, where
    there are fewer).

    Args:
        limit_mib: How much all clients' own rows and these tables may take. Where the tables alone are expected to take
            more, that is refused before the first round; a round that would go beyond it ends the run. Beside it, a
            round's end and a checkpoint take up to as much again.

    Attributes:
        table_of: ``int64 [U]`` place of the client's table in ``versions``, or -1: it has not taken part yet.
        own: The clients' own rows.
    """

    table_of: Tensor

    def __init__(self, limit_mib: float = 2048.0) -> None:
        super().__init__()
        self.register_buffer("table_of", torch.zeros(0, dtype=torch.int64))
        self._versions, self._table_bytes = Versions(), 0
        self.own = RaggedRows(Limit(type(self).__name__, limit_mib, "model.client.store"))
        self._clients: list[Tensor] = []
        self._continues, self._num_items = False, 0

    def initialise(self, num_users: int, tables: Params, dense: Params) -> None:
        """See base class."""
        self.table_of = torch.full((num_users,), -1)
        self._num_items = len(next(iter(tables.values())))
        self._table_bytes = sum(table.numel() * table.element_size() for table in tables.values())

    def expect(self, fraction: float, rounds: int | None) -> None:
        """See base class."""
        tables = expected(len(self.table_of), fraction, rounds)
        what = (
            f"what clients keep at data.client_fraction={fraction:g}, the tables of about {tables:,.0f} rounds alone,"
        )
        self.own.limit.check(tables * self._table_bytes, what)

    @property
    def versions(self) -> Params:
        """Broadcast tables still needed, ``[V, I, D]`` by table name."""
        return self._versions.tables()

    def get_extra_state(self) -> dict[str, Any]:
        """Tables of earlier rounds: how many changes from round to round, which buffers cannot."""
        return {"versions": {name: value.clone() for name, value in self.versions.items()}}  # without unused room

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`get_extra_state`; what is given is copied, as ``load_state_dict`` copies buffers."""
        device = self.table_of.device
        self._versions.restore({name: copy.deepcopy(value).to(device) for name, value in state["versions"].items()})

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._versions.move(fn)
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
        new = _one_for_all(broadcast)
        table_of = self.table_of.index_fill(0, renewed, self._versions.number)
        packing = Packing.of(table_of, self._versions.number)
        size = sum(table.numel() * table.element_size() for table in new.values())
        said = f" over the tables of {packing.number:,} round{'s' * (packing.number > 1)}"
        self.own.merge(renewed, others=len(renewed) < len(clients), beside=(packing.number * size, said))
        self._versions.pack(packing, new, most=int(self.own.limit.mib * 2**20 - self.own.num_bytes()) // size)
        self.table_of = pad(packing.place, (1, 0), value=-1)[table_of + 1]

    def tables(self, served: Mapping[str, Table]) -> Mapping[str, Table]:
        """See base class."""
        return {name: _Tuned(self, name, table) for name, table in served.items()}

    def below(self) -> tuple[Params, RaggedRows] | None:
        """See base class: all clients took part in one round, the last, and few items are anybody's own."""
        few = len(self.own.keys) < FEW * len(self.table_of) * self._num_items
        if not few or self._versions.number != 1 or bool((self.table_of < 0).any()):
            return None
        return {name: tables[0] for name, tables in self.versions.items()}, self.own

    def num_bytes(self) -> int:
        """See base class."""
        return super().num_bytes() + self._versions.num_bytes() + self.own.num_bytes()


def _one_for_all(broadcast: Broadcast) -> Params:
    """The tables ``[I, D]`` that the server has sent to all alike."""
    for table in broadcast.tables.values():
        if not isinstance(table, OneTable):
            raise InputError("model.client.store=TunedRows: the server sends a table per client, FullTables keeps it")
    return {name: table.weight for name, table in broadcast.tables.items() if isinstance(table, OneTable)}


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
        versions = self.store.versions.get(self.name)
        if versions is None:  # in the shape of later rounds, so that scores of who has not taken part keep their bits
            return self.served.rows(clients, items.expand(len(clients), -1))
        version = self.store.table_of[clients][:, None]
        places = version.clamp(min=0) * versions.shape[1] + items
        base = torch.where(  # without names, so that nothing of it is held while the clients' own rows are looked up
            (version >= 0)[..., None],
            versions.flatten(0, 1).index_select(0, places.flatten()).view(*places.shape, versions.shape[2]),
            self.served.rows(clients, items),
        )
        return self.store.own.over(base, self.name, clients, items)
