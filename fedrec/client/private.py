"""What a client keeps for itself: private parameters, their optimiser's state and, for some methods, item rows."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from fedrec.client.optimizer import OptimizerState
from fedrec.client.shared_side import gathered
from fedrec.client.updates import ClientUpdates
from fedrec.models.recommender import Params


class PrivateState(nn.Module):
    """Private state of all clients.

    Dense rows ``[U, *shape]`` with moments and step counts are buffers, so that they are saved with the model; tuned
    item rows (``Recommender.keeps_rows``) are ragged and live in :class:`TunedRows`.

    Args:
        values: Initial private parameters ``[U, *shape]``.
        optimizer: Their optimiser.
        tables: Names of the item tables whose tuned rows a client keeps; empty for most methods.
    """

    def __init__(self, values: Params, optimizer: Literal["adam", "sgd"], tables: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.names = list(values)
        users = len(next(iter(values.values())))
        initial = OptimizerState.initial(optimizer, values, users)
        self.moment_names = list(initial.moments)
        for name, value in values.items():
            self.register_buffer(name, value)
        for name, value in initial.moments.items():
            self.register_buffer(_buffer(name), value)
        self.register_buffer("steps", initial.steps)
        self.tuned = TunedRows(users) if tables else None

    @property
    def num_users(self) -> int:
        """Number of clients U."""
        return len(self.get_buffer("steps"))

    def values(self, clients: Tensor) -> Params:
        """Private parameters of ``clients [B]``."""
        return {name: self.get_buffer(name).index_select(0, clients) for name in self.names}

    def optimizer_state(self, clients: Tensor) -> OptimizerState:
        """State of the optimisers of ``clients [B]``."""
        moments = {name: self.get_buffer(_buffer(name)).index_select(0, clients) for name in self.moment_names}
        return OptimizerState(moments, self.get_buffer("steps").index_select(0, clients))

    def mean(self) -> Params:
        """Every private parameter's mean over all clients, ``[1, *shape]``."""
        return {name: self.get_buffer(name).mean(0, keepdim=True) for name in self.names}

    def write(self, updates: ClientUpdates) -> None:
        """Store what the clients of ``updates`` learned."""
        for name, value in updates.private.items():
            self.get_buffer(name).index_copy_(0, updates.clients, value)
        for name, value in updates.state.moments.items():
            self.get_buffer(_buffer(name)).index_copy_(0, updates.clients, value)
        self.get_buffer("steps").index_copy_(0, updates.clients, updates.state.steps)
        if self.tuned is not None:
            self.tuned.collect(updates)

    def begin_round(self) -> None:
        """Forget what a round that was cut off has collected."""
        if self.tuned is not None:
            self.tuned.collected.clear()

    def end_round(self, tables: Params) -> None:
        """Close the round in which ``tables [I, D]`` were broadcast."""
        if self.tuned is not None:
            self.tuned.end_round(tables)

    def item_rows(self, tables: Params, clients: Tensor, items: Tensor) -> Params:
        """Item rows that ``clients [B]`` score ``items [B, M]`` with, ``[B, M, D]`` by table.

        Args:
            tables: The server's tables ``[I, D]`` (and features ``[I, K]``, passed through by items).
            clients: User indices.
            items: Items; one row for all clients, ``[1, M]``, will do where clients keep none of their own.
        """
        if self.tuned is None:
            return self.server_rows(tables, items)
        return self.tuned.item_rows(tables, clients, items.expand(len(clients), -1))

    @staticmethod
    def server_rows(tables: Params, items: Tensor) -> Params:
        """Rows of the server's tables at ``items [B, M]``, the same for all clients."""
        return {name: gathered(table, items) for name, table in tables.items()}


def _buffer(name: str) -> str:
    return name.replace(".", "_")


@dataclass(frozen=True)
class Collected:
    """Uploaded item rows of a bucket: its ``clients [B]``; flat, the ``owners [R]``, ``items [R]`` and ``rows``.

    The values ``rows`` are ``[R, D]`` by table name.
    """

    clients: Tensor
    owners: Tensor
    items: Tensor
    rows: Params


class TunedRows(nn.Module):
    """Item rows that clients tuned, over the table of the round in which each last took part.

    Per client: the number of that round's table among those still needed, and its own rows (item -> row, CSR by
    client). With full participation one table is kept; a fraction f keeps about ``1/f ln U`` of them.

    Attributes:
        table_of: ``int64 [U]`` place of the client's table in ``tables``, or -1: it has not taken part yet.
        keys: ``int64 [R]`` ``client * I + item`` of the rows, ascending.
        rows: ``[R, D]`` by table name.
        tables: Broadcast tables still needed, ``[V, I, D]`` by table name.
        collected: Clients, keys and uploaded rows of the buckets of the current round.
    """

    table_of: Tensor

    def __init__(self, users: int) -> None:
        super().__init__()
        self.register_buffer("table_of", torch.full((users,), -1))
        self.keys = torch.zeros(0, dtype=torch.int64)
        self.rows: Params = {}
        self.tables: Params = {}
        self.collected: list[Collected] = []

    def get_extra_state(self) -> dict[str, Tensor | Params]:
        """State as tensors: its sizes change from round to round, which buffers cannot."""
        return {"keys": self.keys, "rows": self.rows, "tables": self.tables}

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`get_extra_state`; what is given is copied, as ``load_state_dict`` copies buffers."""
        self.keys, self.rows, self.tables = copy.deepcopy((state["keys"], state["rows"], state["tables"]))
        self._move(lambda value: value.to(self.table_of.device))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._move(fn)  # the ragged tensors follow the module to another device or dtype
        return super()._apply(fn, recurse)  # type: ignore[no-any-return, no-untyped-call]

    def _move(self, fn: Callable[[Tensor], Tensor]) -> None:
        self.keys = fn(self.keys)
        self.rows = {name: fn(value) for name, value in self.rows.items()}
        self.tables = {name: fn(value) for name, value in self.tables.items()}

    def collect(self, updates: ClientUpdates) -> None:
        """Remember the uploaded rows of a bucket until the round ends."""
        real = torch.arange(updates.items.shape[1], device=updates.items.device) < updates.counts[:, None]
        owners = updates.clients[:, None].expand_as(updates.items)[real]
        rows = {name: upload[real] for name, upload in updates.rows.items()}
        self.collected.append(Collected(updates.clients, owners, updates.items[real], rows))

    def end_round(self, tables: Params) -> None:
        """Replace the rows of the clients that took part by ``received - upload`` over ``tables [I, D]``."""
        if not self.collected:
            return
        collected, self.collected = self.collected, []
        num_items = len(next(iter(tables.values())))
        clients = torch.cat([part.clients for part in collected])
        self.table_of[clients] = len(next(iter(self.tables.values()), ()))
        needed, place = torch.unique(self.table_of[self.table_of >= 0], return_inverse=True)
        self.table_of[self.table_of >= 0] = place  # tables that no client needs any more are dropped

        stay = ~torch.isin(self.keys // num_items, clients)
        keys = [part.owners * num_items + part.items for part in collected]
        self.keys, order = torch.cat([self.keys[stay], *keys]).sort()
        for name, table in tables.items():
            tuned = [table[part.items] - part.rows[name] for part in collected]
            self.rows[name] = torch.cat([self.rows.get(name, table[:0])[stay], *tuned])[order]
            kept = self.tables.get(name, table[None][:0])[needed[:-1]]  # the last one needed is this round's
            self.tables[name] = torch.cat([kept, table[None]])

    def item_rows(self, tables: Params, clients: Tensor, items: Tensor) -> Params:
        """See :meth:`PrivateState.item_rows`; ``items [B, M]``."""
        table_of = self.table_of[clients][:, None].expand_as(items)
        found = {name: gathered(table, items) for name, table in tables.items() if name not in self.tables}
        for name, kept in self.tables.items():
            own = kept[table_of.clamp(min=0), items]
            own = torch.where((table_of >= 0)[..., None], own, gathered(tables[name], items))
            keys = clients[:, None] * kept.shape[1] + items
            place = torch.searchsorted(self.keys, keys).clamp(max=max(len(self.keys) - 1, 0))
            tuned = self.keys[place] == keys if len(self.keys) else torch.zeros_like(keys, dtype=torch.bool)
            found[name] = torch.where(tuned[..., None], self.rows[name][place], own) if len(self.keys) else own
        return found
