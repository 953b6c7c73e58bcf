"""Private state: who is written to, tuned item rows over the table of the last round, and what is saved."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fedrec.client.private import PrivateState
from fedrec.client.updates import ClientUpdates
from tests.client.test_updates import updates
from tests.small import normal

USERS, ITEMS, D = 5, 6, 2
EVERYBODY, EVERYTHING = torch.arange(USERS), torch.arange(ITEMS)[None]


def state(**options: object) -> PrivateState:
    return PrivateState({"u": normal(0, 9, 2), "c": normal(1, 9)}, **{"optimizer": "adam", **options})  # type: ignore[arg-type]


def test_writing_touches_the_given_clients_alone() -> None:
    own, made = state(), updates()
    names = ("u.mean", "u.square", "c.mean", "c.square")
    moments = {
        name: normal(20 + k, *own.optimizer_state(made.clients).moments[name].shape) for k, name in enumerate(names)
    }
    made = updates(state=type(made.state)(moments, torch.tensor([1, 2, 3])))
    others = torch.tensor([0, 2, 3, 5, 6, 8])
    before, before_state = own.values(others), own.optimizer_state(others)
    own.write(made)
    assert all(torch.equal(value, made.private[name]) for name, value in own.values(made.clients).items())
    written = own.optimizer_state(made.clients)
    assert set(written.moments) == set(names)
    assert all(torch.equal(value, moments[name]) for name, value in written.moments.items())
    assert written.steps.tolist() == [1, 2, 3]
    assert all(torch.equal(value, before[name]) for name, value in own.values(others).items())
    after = own.optimizer_state(others)
    assert all(torch.equal(value, before_state.moments[name]) for name, value in after.moments.items())
    assert after.steps.tolist() == [0] * 6


def test_values_given_out_are_copies() -> None:
    own = state()
    own.values(torch.tensor([3]))["u"].zero_()
    own.optimizer_state(torch.tensor([3])).steps.fill_(9)
    assert own.values(torch.tensor([3]))["u"].all()
    assert not own.get_buffer("steps").any()


def test_mean_is_over_all_clients() -> None:
    own = state()
    assert torch.allclose(own.mean()["u"], normal(0, 9, 2).sum(0, keepdim=True) / 9)
    assert own.mean()["c"].shape == (1,)


def test_rows_are_the_servers_where_clients_keep_none() -> None:
    own, tables = state(), {"e": normal(5, ITEMS, D), "f": normal(6, ITEMS, 3)}
    items = torch.tensor([[0, 5], [1, 1]])
    found = own.item_rows(tables, torch.tensor([8, 2]), items)
    assert all(torch.equal(found[name], table[items]) for name, table in tables.items())
    assert own.item_rows(tables, torch.tensor([8, 2]), items[:1])["e"].shape == (1, 2, D)


# ---------------------------------------------------------------------- tuned rows


def tuning(clients: list[int], touched: list[list[int]], seed: int) -> ClientUpdates:
    """Updates of clients that tuned the rows of the items they touched; padded to the longest."""
    most = max(len(own) for own in touched)
    items = torch.tensor([own + [0] * (most - len(own)) for own in touched])
    upload = normal(seed, len(clients), most, D)
    size = len(clients)
    return updates(
        clients=torch.tensor(clients),
        items=items,
        counts=torch.tensor([len(own) for own in touched]),
        rows={"e": upload},
        private={"u": normal(0, size, 2), "c": normal(1, size)},
        state=state(optimizer="sgd").optimizer_state(torch.tensor(clients)),
    )


@st.composite
def histories(draw: st.DrawFn) -> list[list[tuple[int, list[int]]]]:
    """Rounds of clients with the items each touched."""
    touched = st.lists(st.integers(0, ITEMS - 1), min_size=1, max_size=4, unique=True).map(sorted)
    one = st.dictionaries(st.integers(0, USERS - 1), touched, min_size=1, max_size=4)
    return [list(made.items()) for made in draw(st.lists(one, min_size=1, max_size=5))]


def tuned_state(optimizer: str = "sgd") -> PrivateState:
    return PrivateState({"u": normal(0, USERS, 2), "c": normal(1, USERS)}, optimizer, ("e",))  # type: ignore[arg-type]


def play(own: PrivateState, rounds: list[list[tuple[int, list[int]]]], first: int = 0) -> dict[int, Tensor]:
    """Play rounds, two buckets each, and return the table that every client then has, kept the slow way."""
    copies: dict[int, Tensor] = {}
    for number, made in enumerate(rounds, start=first):
        table = normal(100 + number, ITEMS, D)
        for half, part in enumerate((made[: len(made) // 2], made[len(made) // 2 :])):
            if not part:
                continue
            given_updates = tuning([c for c, _ in part], [items for _, items in part], 10 * number + half)
            own.write(given_updates)
            for b, (client, items) in enumerate(part):
                copies[client] = table.clone()
                copies[client][items] -= given_updates.rows["e"][b, : len(items)]
        own.end_round({"e": table})
    return copies


def own_tables(own: PrivateState, server: Tensor) -> Tensor:
    return own.item_rows({"e": server}, EVERYBODY, EVERYTHING)["e"]


@settings(max_examples=40, deadline=None)
@given(rounds=histories())
def test_clients_score_with_their_rows_over_the_table_of_their_last_round(
    rounds: list[list[tuple[int, list[int]]]],
) -> None:
    own, server = tuned_state(), normal(50, ITEMS, D)
    copies = play(own, rounds)
    found = own_tables(own, server)
    for user in range(USERS):
        assert torch.equal(found[user], copies.get(user, server)), user
    assert own.tuned is not None
    # Tables are kept while some client's last round is theirs, and no longer.
    last = {client: number for number, made in enumerate(rounds) for client, _ in made}
    assert len(own.tuned.tables["e"]) == len(set(last.values()))
    assert own.tuned.keys.tolist() == sorted(set(own.tuned.keys.tolist()))


@settings(max_examples=20, deadline=None)
@given(before=histories(), after=histories())
def test_tuned_rows_are_saved_and_go_on(
    before: list[list[tuple[int, list[int]]]], after: list[list[tuple[int, list[int]]]]
) -> None:
    first, second, server = tuned_state(), tuned_state(), normal(50, ITEMS, D)
    play(first, before)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(own_tables(first, server), own_tables(second, server))
    for own in (first, second):
        play(own, after, first=len(before))
    assert torch.equal(own_tables(first, server), own_tables(second, server))


def test_a_state_before_the_first_round_is_saved_too() -> None:
    first, second, server = tuned_state(), tuned_state(), normal(50, ITEMS, D)
    play(second, [[(0, [1])]])
    second.load_state_dict(first.state_dict())
    assert torch.equal(own_tables(second, server), server.expand(USERS, -1, -1))


def test_loading_a_state_copies_it() -> None:
    """Two modules that were given the same state do not share memory: a round of one leaves the other."""
    first, second, server = tuned_state(), tuned_state(), normal(50, ITEMS, D)
    play(first, [[(0, [1]), (2, [0, 3])]])
    second.load_state_dict(first.state_dict())
    before = own_tables(first, server)
    play(second, [[(1, [1, 2]), (2, [4])]], first=1)
    assert torch.equal(own_tables(first, server), before)
    assert not torch.equal(own_tables(second, server), before)


def test_features_are_passed_through() -> None:
    own = tuned_state()
    play(own, [[(0, [1])]])
    feature = normal(60, ITEMS, 3)
    found = own.item_rows({"e": normal(50, ITEMS, D), "f": feature}, EVERYBODY, EVERYTHING)
    assert torch.equal(found["f"], feature.expand(USERS, -1, -1))


@pytest.mark.parametrize("rounds", [0, 2])
def test_a_copied_module_has_its_own_state(rounds: int) -> None:
    own, server = tuned_state(), normal(50, ITEMS, D)
    play(own, [[(0, [1])]] * rounds)
    before, other = own_tables(own, server), copy.deepcopy(own)
    play(other, [[(0, [2]), (3, [5])]], first=2)
    assert torch.equal(own_tables(own, server), before)
