"""``GraphServer``: what is held and sent, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from fedrec.errors import DivergenceError, InputError
from fedrec.exchange import TablePerClient, Upload
from fedrec.server import GraphServer
from fedrec.server.user_graph import smoothing
from tests.small import normal

USERS, ITEMS, D = 5, 4, 3
SHARED = {"e": normal(0, ITEMS, D), "w": normal(1, 2)}


def server(**options: Any) -> GraphServer:
    made = GraphServer(**options)
    made.initialise({name: value.clone() for name, value in SHARED.items()}, ["e"], num_users=USERS)
    return made.double()


def play(made: GraphServer, clients: list[int], seed: int, large: float = 1.0) -> dict[str, torch.Tensor]:
    """A round in which each client's table moves at random; the tables with which they end."""
    change, who = large * normal(seed, len(clients), ITEMS, D), torch.tensor(clients)
    sent = {name: value.clone() for name, value in made.parameters_now().items()}
    made.begin_round()
    for part in (slice(0, 1), slice(1, None)):  # two buckets
        dense = {"e": change[part], "w": normal(seed + 9, len(clients), 2)[part]}
        none = torch.zeros(len(who[part]), 0, dtype=torch.int64)
        made.aggregate(Upload(who[part], dense, {}, none, none.sum(1), ITEMS, per_client=True))
    made.step(made.make_optimizer(), seed)
    assert_close(made.parameters_now()["w"], sent["w"] - normal(seed + 9, len(clients), 2).mean(0))
    return {"e": sent["e"] - change}


def test_who_does_not_take_part_keeps_its_table_in_the_graph() -> None:
    made = server(similarity="cosine_distance", mp_layers=2)
    first = play(made, [0, 1, 3], seed=5)["e"]
    second = play(made, [1, 4], seed=6)["e"]
    held = torch.stack([first[0], second[0], first[2], second[1]])  # clients 0, 1, 3, 4
    flat = held.flatten(1)
    lengths = flat.norm(dim=1)
    weights = smoothing(1 - (flat @ flat.mT / lengths / lengths[:, None]).fill_diagonal_(1.0), 1.0, 2)
    personal = torch.einsum("uv,vid->uid", weights, held)
    common = made.parameters_now()["e"]
    assert_close(common, personal.mean(0))
    sent = made.broadcast(2, torch.tensor([4, 2, 0])).extras["personal.e"]
    assert isinstance(sent, TablePerClient)
    rows = sent.rows(torch.tensor([0, 2, 4]), torch.arange(ITEMS)[None])
    assert_close(rows, torch.stack([personal[0], common, personal[3]]))  # client 2 has never taken part


def test_in_the_first_round_everybody_is_held_to_the_initial_table() -> None:
    sent = server().broadcast(0, torch.tensor([1, 4])).extras["personal.e"]
    assert isinstance(sent, TablePerClient)
    assert sent.weight.shape == (1, ITEMS, D)  # not one for each
    rows = sent.rows(torch.tensor([1, 4]), torch.tensor([[0, 3]]))
    assert torch.equal(rows, SHARED["e"][[0, 3]].expand(2, -1, -1))


def test_products_that_overflow_stop_the_run() -> None:
    with pytest.raises(DivergenceError, match="products of the clients' item tables overflow"):
        play(server(), [0, 1, 2], seed=5, large=1e200)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"threshold": 0.0}, r"model\.server\.threshold=0\.0: expected a finite number above 0"),
        ({"limit_mib": float("inf")}, r"model\.server\.limit_mib=inf"),
        ({"mp_layers": 0}, r"model\.server\.mp_layers=0: expected at least 1"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        GraphServer(**options)
