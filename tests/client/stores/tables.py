"""The readable truth about stores: a dictionary with a full table for each client, played beside a store."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from hypothesis import strategies as st
from torch import Tensor

from fedrec.client.stores import Store
from fedrec.client.stores.store import Copy
from fedrec.exchange import Broadcast, OneTable
from fedrec.models.recommender import Params
from tests.small import normal

USERS, ITEMS = 5, 6
TABLES = {"e": 2, "f": 1}
"""Tables by name, with the size of their rows."""
EVERYBODY, EVERYTHING = torch.arange(USERS), torch.arange(ITEMS)[None]


@dataclass(frozen=True)
class Round:
    """The items that each client touches, and whether the round is cut off before its end."""

    touched: dict[int, list[int]]
    cut: bool = False


@st.composite
def histories(draw: st.DrawFn, cut: bool = True) -> list[Round]:
    """Rounds in which some of the clients take part, each touching some of the items."""
    touched = st.lists(st.integers(0, ITEMS - 1), min_size=1, max_size=4, unique=True).map(sorted)
    clients = st.dictionaries(st.integers(0, USERS - 1), touched, min_size=1, max_size=4)
    made = draw(st.lists(st.tuples(clients, st.booleans()), min_size=1, max_size=5))
    return [Round(own, cut and end) for own, end in made]


def served(number: int, dtype: torch.dtype = torch.float64) -> Broadcast:
    """What the server sends in a round."""
    tables = {n: OneTable(normal(100 * number + k, ITEMS, d, dtype=dtype)) for k, (n, d) in enumerate(TABLES.items())}
    return Broadcast(number, {"w": normal(100 * number + 50, 2, dtype=dtype)}, tables)


def weights(broadcast: Broadcast) -> Params:
    """The tables of a broadcast, ``[I, D]``."""
    return {name: table.weight for name, table in broadcast.tables.items() if isinstance(table, OneTable)}


@dataclass
class Played:
    """A store and, beside it, the dictionary.

    Attributes:
        store: The store, not yet initialised.
        private: Whether the tables are the clients' own from the start; else they are the server's until a client
            takes part.
        continues: Whether a client starts from what it kept; else from what the server sends.
        decays: Whether rows that were not touched shrink.
        whole: Whether all rows move, and clients hand in whole tables.
        tables: Every client's tables.
        dense: Every client's dense parameters.
    """

    store: Store
    private: bool = False
    continues: bool = False
    decays: bool = False
    whole: bool = False
    dtype: torch.dtype = torch.float64
    number: int = 0
    tables: dict[int, Params] = field(default_factory=dict)
    dense: dict[int, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        initial = served(99, self.dtype)
        self.store.initialise(USERS, weights(initial), initial.dense)
        if self.private:
            self.tables = {client: weights(served(99, self.dtype)) for client in range(USERS)}

    def play(self, rounds: list[Round]) -> None:
        """Play rounds of two buckets each; what is cut off leaves no trace in the dictionary."""
        for round_ in rounds:
            self.number += 1
            broadcast = served(self.number, self.dtype)
            self.store.begin_round()
            clients = list(round_.touched)
            for half in (clients[: len(clients) // 2], clients[len(clients) // 2 :]):
                if half:
                    copy = self._copy([round_.touched[client] for client in half], len(clients) + half[0])
                    self.store.write(torch.tensor(half), copy)
                    if not round_.cut:
                        self._keep(half, copy, broadcast)
            if not round_.cut:  # private tables have names of their own, which no broadcast has
                self.store.end_round(replace(broadcast, tables={}) if self.private else broadcast)

    def _copy(self, touched: list[list[int]], seed: int) -> Copy:
        """Random rows of the items; what shrinks does so by powers of 2, which rounds nothing."""
        size, most = len(touched), max(map(len, touched))
        seed += 1000 * self.number
        items = torch.tensor([own + [0] * (most - len(own)) for own in touched])
        rows = {n: normal(seed + k, size, most, d, dtype=self.dtype) for k, (n, d) in enumerate(TABLES.items())}
        scale = {n: 2.0 ** -normal(seed + k + 9, size).abs().round().to(self.dtype) for k, n in enumerate(TABLES)}
        counts = torch.tensor([len(own) for own in touched])
        dense = {} if self.private else {"w": normal(seed + 5, size, 2, dtype=self.dtype)}
        if self.whole:
            tables = {n: normal(seed + k, size, ITEMS, d, dtype=self.dtype) for k, (n, d) in enumerate(TABLES.items())}
            return Copy(items, torch.tensor([len(own) for own in touched]), dense | tables, {})
        return Copy(items, counts, dense, rows, scale if self.decays else {}, self.continues)

    def _keep(self, clients: list[int], copy: Copy, broadcast: Broadcast) -> None:
        for b, client in enumerate(clients):
            start = self.tables[client] if self.continues and client in self.tables else weights(broadcast)
            own = {name: table * (copy.scale[name][b] if self.decays else 1) for name, table in start.items()}
            own |= {name: copy.dense[name][b] for name in own if name in copy.dense}
            for name, table in own.items() if copy.rows else ():
                table[copy.items[b, : copy.counts[b]]] = copy.rows[name][b, : copy.counts[b]]
            self.tables[client] = own
            if copy.dense:
                self.dense[client] = copy.dense["w"][b]

    def check(self) -> None:
        """Every client reads what the dictionary has, and the server's where that has nothing."""
        broadcast = served(77, self.dtype)
        read = self.store.tables({} if self.private else broadcast.tables)
        now = {name: table.rows(EVERYBODY, EVERYTHING).expand(USERS, -1, -1) for name, table in read.items()}
        assert set(now) == set(TABLES)
        for name, table in read.items():
            assert table.shape == (ITEMS, TABLES[name])
            assert table.dtype == self.dtype
            for client in range(USERS):
                expected = self.tables.get(client, weights(broadcast))[name]
                assert torch.equal(now[name][client], expected), (name, client)
            some = torch.tensor([3, 0]), torch.tensor([[5, 1, 1], [0, 2, 5]])
            found = table.rows(*some).expand(2, -1, -1)
            assert torch.equal(found, torch.stack([now[name][c, own] for c, own in zip(*some, strict=True)]))

    def mean(self) -> Params:
        """The mean over all clients of what each reads."""
        tables = [self.tables.get(client, weights(served(77, self.dtype))) for client in range(USERS)]
        return {name: torch.stack([own[name] for own in tables]).mean(0) for name in TABLES}

    def with_store(self, store: Store, dtype: torch.dtype | None = None) -> Played:
        """The same dictionary beside another store, that is filled already."""
        dtype = dtype or self.dtype
        made = replace(self, store=type(store)(), dtype=dtype)
        made.store = store
        made.tables = {c: {n: table.to(dtype) for n, table in own.items()} for c, own in self.tables.items()}
        made.dense = {c: value.to(dtype) for c, value in self.dense.items()}
        return made
