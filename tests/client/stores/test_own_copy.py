"""``OwnCopy``: dense parameters are kept beside the rows."""

from __future__ import annotations

import io

import torch
from hypothesis import given, settings

from fedrec.client.stores import OwnCopy
from tests.client.stores.tables import EVERYBODY, USERS, Played, Round, histories, served


def check(made: Played) -> None:
    """Every client uses its own dense parameters, and the server's before its first round."""
    sent = served(77, made.dtype).dense
    found = made.store.dense(sent, EVERYBODY)["w"]
    assert torch.equal(found, torch.stack([made.dense.get(client, sent["w"]) for client in range(USERS)]))
    some = torch.tensor([3, 0, 3])
    assert torch.equal(made.store.dense(sent, some)["w"], found[some])


@settings(max_examples=25, deadline=None)
@given(rounds=histories(), after=histories())
def test_clients_use_their_own_dense_parameters(rounds: list[Round], after: list[Round]) -> None:
    made = Played(OwnCopy(), continues=True)
    check(made)
    made.play(rounds)
    check(made)
    file, store = io.BytesIO(), OwnCopy()
    torch.save(made.store.state_dict(), file)
    file.seek(0)
    sizes = served(99)
    store.initialise(USERS, {n: torch.zeros(t.shape).double() for n, t in sizes.tables.items()}, sizes.dense)
    store.load_state_dict(torch.load(file, weights_only=True))
    other = made.with_store(store)
    check(other)
    other.play(after)
    check(other)
    check(made)
