"""``RaggedRows`` beside a dictionary from pairs to rows; what a round's end makes of what was there before."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fedrec.client.stores.store import Copy
from fedrec.limit import Limit
from fedrec.models.recommender import Params
from fedrec.ragged import RaggedRows
from tests.small import normal
from tests.test_memory import Allocations

ITEMS, DIM, TABLES = 7, 3, ("e", "f")
# The items that clients hand in, and who of them forgets its older rows.
ROUNDS = st.lists(
    st.dictionaries(
        st.integers(0, 4),
        st.tuples(st.lists(st.integers(0, ITEMS - 1), max_size=4, unique=True).map(sorted), st.booleans()),
        min_size=1,
        max_size=4,
    ),
    min_size=1,
    max_size=6,
)


def made() -> RaggedRows:
    return RaggedRows(Limit("RaggedRows", 100.0))


def hand_in(to: RaggedRows, client: int, items: list[int], seed: int) -> dict[tuple[int, int], Params]:
    """Rows of one client, padded by two; what a dictionary keeps of them."""
    rows = {name: normal(seed + k, 1, len(items) + 2, DIM) for k, name in enumerate(TABLES)}
    copy = Copy(torch.tensor([[*items, 0, 0]]), torch.tensor([len(items)]), {}, rows)
    to.write(torch.tensor([client]), copy, ITEMS)
    return {(client, item): {name: rows[name][0, k] for name in TABLES} for k, item in enumerate(items)}


def many(per_client: int, offset: int = 0, clients: int = 40, seed: int = 0) -> tuple[Tensor, Copy]:
    """Rows of the first clients, of ``per_client`` neighbouring items each."""
    items = (torch.arange(per_client) + offset).expand(clients, -1)
    rows = {name: normal(seed + k, clients, per_client, DIM) for k, name in enumerate(TABLES)}
    return torch.arange(clients), Copy(items, torch.full((clients,), per_client), {}, rows)


def merged(rows: RaggedRows, clients: Tensor, copy: Copy, forget: bool = False) -> Allocations:
    """A round; what its end allocates."""
    rows.begin_round()
    rows.write(clients, copy, num_items=1000)
    with Allocations() as allocations:
        rows.merge(forget=clients if forget else None, others=not forget)
    return allocations


@settings(max_examples=60, deadline=None)
@given(rounds=ROUNDS)
def test_rows_are_those_of_a_dictionary(rounds: list[dict[int, tuple[list[int], bool]]]) -> None:
    rows, kept = made(), dict[tuple[int, int], Params]()
    for number, round_ in enumerate(rounds):
        rows.begin_round()
        forget = [client for client, (_, forgets) in round_.items() if forgets]
        kept = {pair: row for pair, row in kept.items() if pair[0] not in forget}
        for client, (items, _) in round_.items():
            kept |= hand_in(rows, client, items, 100 * number + 10 * client)
        rows.merge(torch.tensor(forget, dtype=torch.int64), others=len(forget) < len(round_))
        assert list(zip(rows.owners().tolist(), rows.items().tolist(), strict=True)) == sorted(kept)
        for name in TABLES if kept else ():
            assert torch.equal(rows.rows[name], torch.stack([kept[pair][name] for pair in sorted(kept)]))


@settings(max_examples=60, deadline=None)
@given(
    own=st.dictionaries(st.integers(0, 4), st.lists(st.integers(0, ITEMS - 1), max_size=4, unique=True).map(sorted)),
    clients=st.lists(st.integers(0, 4), min_size=1, max_size=5),
    items=st.lists(st.integers(0, ITEMS - 1), min_size=1, unique=True),
)
def test_rows_among_some_items_are_those_of_a_dictionary(
    own: dict[int, list[int]], clients: list[int], items: list[int]
) -> None:
    rows, kept = made(), dict[tuple[int, int], Params]()
    for client, mine in {0: [0], **own}.items():
        kept |= hand_in(rows, client, mine, 10 * client)
    rows.merge()
    places, found = rows.among(torch.tensor(clients), torch.tensor(items))
    for b, client in enumerate(clients):
        here = {column: k for k, column in enumerate(places[b].tolist()) if column < len(items)}
        assert {items[column] for column in here} == {item for item in items if (client, item) in kept}
        for column, k in here.items():
            assert all(torch.equal(found[name][b, k], kept[client, items[column]][name]) for name in TABLES)
        assert set(places[b].tolist()) <= {*here, len(items)}
        assert len(places[b]) - len(here) == places[b].tolist().count(len(items))


def test_rows_of_the_same_pairs_are_overwritten_where_they_are() -> None:
    for forget in (False, True):
        rows = made()
        merged(rows, *many(50))
        before = rows.keys, dict(rows.rows)
        clients, copy = many(50, clients=4 if not forget else 40, seed=9)
        table = rows.rows["e"].untyped_storage().nbytes()
        assert all(size < table / 2 for size, _, _ in merged(rows, clients, copy, forget).made)
        assert rows.keys is before[0]
        assert all(rows.rows[name] is before[1][name] for name in TABLES)
        assert torch.equal(rows.rows["e"][: 50 * len(clients)], copy.rows["e"].flatten(0, 1))


def test_new_pairs_have_every_table_made_anew_once() -> None:
    """However many rows are held: as much again as a table, one at a time, and a few numbers for each row."""
    for forget in (False, True):
        rows = made()
        merged(rows, *many(200))
        table = rows.rows["e"].untyped_storage().nbytes()
        allocations = merged(rows, *many(200 if forget else 2, offset=200, clients=2, seed=9), forget)
        assert sum(size >= table for size, _, _ in allocations.made) == len(TABLES)
        assert len(rows.keys) == 40 * 200 + (0 if forget else 4)


def test_whoever_has_the_state_does_not_see_it_change() -> None:
    rows = made()
    merged(rows, *many(50))
    state = rows.get_extra_state()
    copied = {name: value.clone() for name, value in state["rows"].items()}
    for forget in (False, True):
        merged(rows, *many(50, seed=9), forget)
        assert all(torch.equal(state["rows"][name], copied[name]) for name in TABLES)
    assert not torch.equal(rows.rows["e"], copied["e"])
    again = rows.rows["e"]
    merged(rows, *many(50, seed=19))
    assert rows.rows["e"] is again  # nobody has got this one
