"""Private state: who is written to, what is given out, and what goes to which store."""

from __future__ import annotations

import torch
from torch import Tensor

from fedrec.client.private import PrivateState
from fedrec.client.stores import DecayedRows, TunedRows
from fedrec.exchange import Broadcast, OneTable
from tests.client.test_updates import updates
from tests.small import normal


def state(**options: object) -> PrivateState:
    return PrivateState({"u": normal(0, 9, 2), "c": normal(1, 9)}, **{"optimizer": "adam", "num_users": 9, **options})  # type: ignore[arg-type]


def test_writing_touches_the_given_clients_alone() -> None:
    own = state()
    names = ("u.mean", "u.square", "c.mean", "c.square")
    shapes = {name: value.shape for name, value in own.optimizer_state(torch.tensor([4, 1, 7])).moments.items()}
    moments = {name: normal(20 + k, *shapes[name]) for k, name in enumerate(names)}
    update = updates(moments=moments).own
    others = torch.tensor([0, 2, 3, 5, 6, 8])
    before, before_state = own.values(others), own.optimizer_state(others)
    own.write(update)
    assert all(torch.equal(value, update.dense[name]) for name, value in own.values(update.clients).items())
    written = own.optimizer_state(update.clients)
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
    own, tables = state(), {"e": OneTable(normal(5, 6, 2)), "f": OneTable(normal(6, 6, 3))}
    items = torch.tensor([[0, 5], [1, 1]])
    found = own.kept.tables(tables)
    for name, table in tables.items():
        assert torch.equal(found[name].rows(torch.tensor([8, 2]), items), table.weight[items])
    assert found["e"].rows(torch.tensor([8, 2]), items[:1]).shape == (1, 2, 2)
    assert own.read(torch.tensor([8])).tables == {}  # and no private table


def test_copies_go_to_their_stores_when_the_round_ends() -> None:
    kept, tables = TunedRows(), DecayedRows()
    kept.initialise(9, {"e": normal(5, 12, 2)}, {})
    tables.initialise(9, {"t": normal(6, 12, 2)}, {})
    own, clients = state(kept=kept, tables=tables), updates().own.clients
    update = updates(moments=own.optimizer_state(clients).moments).own
    assert update.shared is not None
    assert update.tables is not None
    broadcast, items = Broadcast(0, {}, {"e": OneTable(normal(7, 12, 2))}), update.shared.items[:1]

    def held() -> tuple[Tensor, Tensor]:
        """The first client's rows in both stores."""
        one = clients[:1]
        return own.kept.tables(broadcast.tables)["e"].rows(one, items), own.read(one).tables["t"].rows(one, items)

    before = held()
    own.write(update)
    assert all(torch.equal(a, b) for a, b in zip(held(), before, strict=True))
    own.begin_round()  # the round was cut off
    own.end_round(broadcast)
    assert all(torch.equal(a, b) for a, b in zip(held(), before, strict=True))
    own.write(update)
    own.end_round(broadcast)
    assert torch.equal(held()[0][0], update.shared.rows["e"][0])
    assert torch.equal(held()[1][0], update.tables.rows["t"][0])
    stores = own.kept.num_bytes() + own.tables.num_bytes()
    assert own.num_bytes() == stores + 9 * 8 * 3 * (2 + 1) + 9 * 8  # u and c with two moments each, and the steps
