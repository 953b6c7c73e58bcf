"""What stores may take: refused before it is allocated, or before a round adds it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fedrec.client.stores import DecayedRows, FullTables, OwnCopy, TunedRows
from fedrec.client.stores.store import Copy
from fedrec.errors import InputError
from fedrec.exchange import Broadcast, OneTable
from tests.test_memory import Allocations

KINDS = [DecayedRows, FullTables, OwnCopy, TunedRows]
TABLES = {"e": torch.zeros(256, 2)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf")])
def test_limits_out_of_range_are_refused(kind: Any, limit: float) -> None:
    named = {DecayedRows: r"model\.client\.table_store", FullTables: "FullTables"}.get(kind, r"model\.client\.store")
    with pytest.raises(InputError, match=rf"^{named}\.limit_mib="):
        kind(limit)


def test_private_rows_that_could_come_to_take_more_are_refused_before_the_first_round() -> None:
    # 1,024 clients, 256 rows of 2 float32 numbers and a key of 8 bytes: 4 MiB.
    DecayedRows(limit_mib=4.0).initialise(1024, TABLES, {})
    store = DecayedRows(limit_mib=3.99)
    with pytest.raises(InputError, match=r"a row for each of 1,024 clients and 256 items.* takes 4 MiB, above model"):
        store.initialise(1024, TABLES, {})
    assert store.num_bytes() == 0


def test_dense_copies_above_the_limit_are_refused_before_they_are_made() -> None:
    dense = {"w": torch.zeros(16, 16)}  # 1 KiB
    OwnCopy(limit_mib=1.0).initialise(1024, TABLES, dense)
    store = OwnCopy(limit_mib=0.99)
    with pytest.raises(InputError, match=r"OwnCopy: a dense copy for each of 1,024 clients takes 1 MiB, above"):
        store.initialise(1024, TABLES, dense)
    assert not store.names


@pytest.mark.parametrize("kind", [OwnCopy, TunedRows])
def test_rows_that_grow_beyond_the_limit_end_the_run(kind: Any) -> None:
    """Clients that go on keep older rows too: 16 bytes a row, 256 rows in 4 KiB, over one table of 2 KiB."""
    store = kind(limit_mib=6 / 1024)
    store.initialise(64, TABLES, {})
    broadcast = Broadcast(0, {}, {"e": OneTable(TABLES["e"])})
    for number in range(4):
        store.begin_round()
        items = torch.arange(64 * number, 64 * (number + 1))[None]
        store.write(torch.tensor([5]), Copy(items, torch.tensor([64]), {}, {"e": torch.ones(1, 64, 2)}, continues=True))
        store.end_round(broadcast)
    assert len(store.own.keys) == 256
    store.begin_round()
    more = Copy(torch.tensor([[7]]), torch.tensor([1]), {}, {"e": torch.ones(1, 1, 2)}, continues=True)
    store.write(torch.tensor([5]), more)
    store.end_round(broadcast)  # the row of a pair that has one
    store.write(torch.tensor([6]), more)
    said = rf"{kind.__name__}: what clients keep, 257 item rows over the tables of 2 rounds, takes .* above model"
    with pytest.raises(InputError, match=said):
        store.end_round(broadcast)


@pytest.mark.parametrize("kind", [OwnCopy, TunedRows])
def test_tables_of_rounds_that_grow_beyond_the_limit_end_the_run(kind: Any) -> None:
    """One client a round: a table of 2 KiB and a row of 16 bytes each; no more is there than the limit allows."""
    limit = 20 * 2048 + 20 * 16
    store = kind(limit_mib=limit / 2**20)
    store.initialise(64, TABLES, {})
    for client in range(20):
        one_client(store, client)
        assert store.num_bytes() - 8 * 64 <= limit
    with Allocations() as allocations, pytest.raises(InputError, match="21 item rows over the tables of 21 rounds, ta"):
        one_client(store, 20)
    assert max(size for size, _, _ in allocations.made) < 2 * 2048  # the one that the server sends
    one_client(store, 3)  # who has a table already gives it up
    assert len(store.versions["e"]) == 20


def one_client(store: TunedRows, client: int) -> None:
    store.begin_round()
    store.write(torch.tensor([client]), Copy(torch.tensor([[7]]), torch.tensor([1]), {}, {"e": torch.ones(1, 1, 2)}))
    store.end_round(Broadcast(client, {}, {"e": OneTable(TABLES["e"] + client)}))


@pytest.mark.parametrize("kind", [OwnCopy, TunedRows])
def test_tables_of_rounds_that_are_expected_to_take_more_are_refused_before_the_first(kind: Any) -> None:
    """1,000 clients, ten a round, a table of 2 KiB each: all ten are drawn again after some 294 rounds."""
    store = kind(limit_mib=1 / 2)
    store.initialise(1000, TABLES, {})
    store.expect(0.01, rounds=256)
    store.expect(1.0, rounds=None)
    with pytest.raises(
        InputError, match=r"at data\.client_fraction=0\.01, the tables of about 257 rounds alone, takes"
    ):
        store.expect(0.01, rounds=257)
    with pytest.raises(
        InputError, match=r"about 29\d rounds alone, takes .* above model\.client\.store\.limit_mib=0\.5"
    ):
        store.expect(0.01, rounds=None)
