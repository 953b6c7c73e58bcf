"""``TunedRows``: how many tables of earlier rounds are held, what is passed through, what is refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from fedrec.client.stores import TunedRows
from fedrec.client.stores.store import Copy
from fedrec.errors import InputError
from fedrec.exchange import Broadcast, OneTable, TablePerClient
from tests.client.stores.tables import EVERYBODY, EVERYTHING, ITEMS, USERS, Played, Round, histories
from tests.small import normal


def tables(store: TunedRows, server: Tensor) -> Tensor:
    """The tables that all clients read, ``[U, I, 2]``."""
    return store.tables({"e": OneTable(server)})["e"].rows(EVERYBODY, EVERYTHING)


@settings(max_examples=40, deadline=None)
@given(rounds=histories(cut=False))
def test_tables_are_held_while_some_clients_last_round_is_theirs_and_no_longer(rounds: list[Round]) -> None:
    store = TunedRows()
    made = Played(store)
    made.play(rounds)
    made.check()
    last = {client: number for number, round_ in enumerate(rounds) for client in round_.touched}
    assert len(store.versions["e"]) == len(set(last.values()))
    assert store.own.keys.tolist() == sorted(set(store.own.keys.tolist()))
    # Of a client that starts anew no row is held but those of its last round.
    held = {client: set() for client in last}  # type: dict[int, set[int]]
    for client, item in zip(store.own.owners().tolist(), store.own.items().tolist(), strict=True):
        held[client].add(item)
    assert held == {client: set(rounds[number].touched[client]) for client, number in last.items()}


@settings(max_examples=25, deadline=None)
@given(rounds=histories(cut=False))
def test_who_goes_on_keeps_the_table_of_its_first_round(rounds: list[Round]) -> None:
    store = TunedRows()
    made = Played(store, continues=True)
    made.play(rounds)
    made.check()
    first = {client: number for number, round_ in reversed(list(enumerate(rounds))) for client in round_.touched}
    assert len(store.versions["e"]) == len(set(first.values()))


@pytest.mark.parametrize("rounds", [0, 2])
def test_a_state_before_the_first_round_is_saved_too(rounds: int) -> None:
    first, second, server = Played(TunedRows()), Played(TunedRows()), normal(50, ITEMS, 2)
    second.play([Round({0: [1]})] * rounds)
    second.store.load_state_dict(first.store.state_dict())
    assert isinstance(second.store, TunedRows)
    assert torch.equal(tables(second.store, server), server.expand(USERS, -1, -1))


def test_tables_that_no_client_tunes_are_passed_through() -> None:
    store = TunedRows()
    Played(store).play([Round({0: [1]})])
    feature = normal(60, ITEMS, 3)
    found = store.tables({"e": OneTable(normal(50, ITEMS, 2)), "g": OneTable(feature)})
    rows = found["g"].rows(EVERYBODY, EVERYTHING)
    assert torch.equal(rows, feature.expand(USERS, -1, -1))
    rows.mul_(2)  # which the caller may
    assert torch.equal(found["g"].rows(EVERYBODY, EVERYTHING), feature.expand(USERS, -1, -1))


def one_row(**options: object) -> Copy:
    return Copy(torch.tensor([[0]]), torch.tensor([1]), {}, {"e": normal(0, 1, 1, 2)}, **options)  # type: ignore[arg-type]


def test_what_it_cannot_keep_is_refused() -> None:
    store, client = TunedRows(), torch.tensor([0])
    store.initialise(1, {"e": normal(1, ITEMS, 2)}, {})
    with pytest.raises(InputError, match="rows that decay need a store that scales them, FullTables"):
        store.write(client, one_row(scale={"e": torch.tensor([0.5])}))
    store.write(client, one_row())
    with pytest.raises(InputError, match="the server sends a table per client, FullTables keeps it"):
        store.end_round(Broadcast(0, {}, {"e": TablePerClient(normal(2, 1, ITEMS, 2), torch.tensor([0]))}))
