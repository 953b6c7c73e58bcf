"""``GraphServer``: the graph, what is held and sent, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from fedrec.errors import DivergenceError, InputError
from fedrec.exchange import TablePerClient, Upload
from fedrec.server import GraphServer
from fedrec.server import gpfedrec as module
from fedrec.server.gpfedrec import smoothing
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


@settings(max_examples=20, deadline=None)
@given(size=st.integers(1, 6), seed=st.integers(0, 99), threshold=st.sampled_from([0.5, 1.0, 3.0]))
def test_weights_are_shares_and_layers_repeat_them(size: int, seed: int, threshold: float) -> None:
    similarity = normal(seed, size, size).abs()
    once = smoothing(similarity, threshold, 1)
    assert_close(once.sum(1), torch.ones(size, dtype=torch.float64))
    kept = once > 0
    above = similarity > threshold * similarity.mean()
    assert torch.equal(kept, above | torch.diag(~above.any(1)))
    assert_close(smoothing(similarity, threshold, 3), once @ once @ once)


@pytest.mark.parametrize("block", [1, 2, 256])
def test_cosines_are_those_of_flattened_tables(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    made = server()
    tables = play(made, [0, 1, 3, 4], seed=5)["e"].flatten(1)
    expected = torch.eye(USERS, dtype=torch.float64)  # client 2 has sent none
    lengths = tables.norm(dim=1)
    who = torch.tensor([0, 1, 3, 4])
    expected[who[:, None], who] = tables @ tables.mT / lengths / lengths[:, None]
    assert_close(made._cosines(), expected)


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


def test_a_table_of_zeros_is_like_no_other() -> None:
    made = server()
    made.begin_round()
    change = torch.stack([SHARED["e"], normal(3, ITEMS, D)])  # client 0 ends at 0
    none = torch.zeros(2, 0, dtype=torch.int64)
    dense = {"e": change, "w": torch.zeros(2, 2).double()}
    made.aggregate(Upload(torch.tensor([0, 1]), dense, {}, none, none.sum(1), ITEMS, per_client=True))
    made.step(made.make_optimizer(), 0)
    assert_close(made._cosines()[:2, :2], torch.eye(2, dtype=torch.float64))


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
