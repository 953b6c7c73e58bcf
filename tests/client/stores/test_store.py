"""Every store against a dictionary of full tables: random rounds, saving, other types, means."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from torch.testing import assert_close

from fedrec.client import stores
from fedrec.client.stores import DecayedRows, FullTables, Nothing, OwnCopy, Store, TunedRows
from tests.client.stores.tables import EVERYBODY, EVERYTHING, USERS, Played, Round, histories, served

KEEPS: dict[str, tuple[type[Store], dict[str, bool]]] = {
    "tuned": (TunedRows, {}),
    "tuned, goes on": (TunedRows, {"continues": True}),
    "own copy": (OwnCopy, {}),
    "own copy, goes on": (OwnCopy, {"continues": True}),
    "full": (FullTables, {}),
    "full, decays": (FullTables, {"decays": True}),
    "full, goes on": (FullTables, {"continues": True, "decays": True}),
    "full, whole": (FullTables, {"whole": True}),
    "full, private": (FullTables, {"private": True, "continues": True, "decays": True}),
    "decayed, private": (DecayedRows, {"private": True, "continues": True, "decays": True}),
    "decayed, private, without decay": (DecayedRows, {"private": True, "continues": True}),
}
"""Stores that keep something, in every way in which clients use them."""
each_store = pytest.mark.parametrize("name", KEEPS)


def played(name: str, **more: Any) -> Played:
    kind, options = KEEPS[name]
    return Played(kind(), **options, **more)


def test_every_store_is_in_the_table() -> None:
    exported = {getattr(stores, name) for name in stores.__all__} - {Store, Nothing}
    assert exported == {kind for kind, _ in KEEPS.values()}


@each_store
@settings(max_examples=25, deadline=None)
@given(rounds=histories())
def test_clients_read_what_a_dictionary_of_full_tables_has(name: str, rounds: list[Round]) -> None:
    """With rounds that were cut off among them: the next round forgets what those handed in."""
    made = played(name)
    made.check()
    for round_ in rounds:
        made.play([round_])
        if not round_.cut:
            made.check()
    made.store.begin_round()
    made.check()
    # Rows [1, P] are the same as rows [B, P] that repeat them.
    for table in made.store.tables(served(77).tables).values():
        one = table.rows(EVERYBODY, EVERYTHING).expand(USERS, -1, -1)
        assert torch.equal(one, table.rows(EVERYBODY, EVERYTHING.expand(USERS, -1)))


@each_store
@settings(max_examples=15, deadline=None)
@given(rounds=histories())
def test_within_a_round_clients_read_what_was_there_at_its_beginning(name: str, rounds: list[Round]) -> None:
    made = played(name)
    made.play(rounds)
    made.play([Round({0: [1, 2], 4: [0, 5]}, cut=True)])
    made.check()


@each_store
@settings(max_examples=15, deadline=None)
@given(before=histories(cut=False), after=histories())
def test_a_store_is_saved_and_goes_on(name: str, before: list[Round], after: list[Round]) -> None:
    first, second = played(name), played(name)
    first.play(before)
    file = io.BytesIO()
    torch.save(first.store.state_dict(), file)
    file.seek(0)
    second.store.load_state_dict(torch.load(file, weights_only=True))
    second = first.with_store(second.store)
    second.check()
    second.play(after)
    second.store.begin_round()
    second.check()
    first.check()  # the two share no memory


@each_store
@settings(max_examples=10, deadline=None)
@given(before=histories(cut=False), after=histories(cut=False))
def test_a_store_follows_its_module_to_another_type(name: str, before: list[Round], after: list[Round]) -> None:
    single = played(name, dtype=torch.float32)
    single.play(before)
    double = single.with_store(single.store.to(torch.float64), torch.float64)
    double.check()
    double.play(after)
    double.check()


@each_store
@settings(max_examples=10, deadline=None)
@given(before=histories(cut=False), after=histories(cut=False))
def test_a_copied_store_has_a_state_of_its_own(name: str, before: list[Round], after: list[Round]) -> None:
    made = played(name)
    made.play(before)
    other = made.with_store(copy.deepcopy(made.store))
    other.play(after)
    other.check()
    made.check()


@each_store
@settings(max_examples=10, deadline=None)
@given(rounds=histories(cut=False))
def test_mean_tables(name: str, rounds: list[Round]) -> None:
    """Of tables that are the clients' own, the mean; of the server's that clients tune, the server's."""
    made = played(name)
    made.play(rounds)
    sent = served(77).tables
    found = made.store.mean_tables({} if made.private else sent)
    if isinstance(made.store, TunedRows):
        assert found is sent
        return
    assert set(found) == set(sent)
    if not made.private:
        assert all(found[table] is sent[table] for table in sent)
        return
    for table, expected in made.mean().items():
        rows = found[table].rows(EVERYBODY, EVERYTHING)
        assert rows.shape[0] == 1  # computed once, not for every client
        assert_close(rows[0], expected, rtol=1e-12, atol=1e-12)


@each_store
def test_bytes_are_those_of_all_that_is_held(name: str) -> None:
    made = played(name)
    before = made.store.num_bytes()
    made.play([Round({0: [1, 2, 3], 2: [4]}), Round({1: [0]})])
    state = io.BytesIO()
    torch.save(made.store.state_dict(), state)
    assert before <= made.store.num_bytes() <= len(state.getvalue())
    if not isinstance(made.store, FullTables):  # whose size is what it is from the start
        assert made.store.num_bytes() > before


def test_nothing_passes_on_what_the_server_has() -> None:
    store, sent = Nothing(), served(77)
    store.initialise(USERS, {}, {})
    store.begin_round()
    store.end_round(sent)
    assert store.tables(sent.tables) is sent.tables
    assert store.mean_tables(sent.tables) is sent.tables
    assert store.dense(sent.dense, EVERYBODY) is sent.dense
    assert store.num_bytes() == 0
    assert not store.needs_copy
