"""What travels: bytes of a broadcast and an upload, tables, and steps on the way."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from fedrec.client import DeltaUpload, LocalTraining
from fedrec.exchange import Broadcast, OneTable, TablePerClient, Upload
from fedrec.models import NCF, PFedRec
from fedrec.models.recommender import Params, Recommender
from fedrec.server import MeanServer, Server
from fedrec.uploads import UploadStep
from tests.reference.adapter import EachClient
from tests.small import federation, normal, random_cohort, snapshot


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bytes_are_counted_as_they_travel(dtype: torch.dtype) -> None:
    # 4 + 1 dense numbers and a table of 8 * 3, in float32 whatever the arithmetic.
    dense = {"w": torch.zeros(2, 2, dtype=dtype), "b": torch.zeros((), dtype=dtype)}
    broadcast = Broadcast(0, dense, {"e": OneTable(torch.zeros(8, 3, dtype=dtype))})
    assert broadcast.num_bytes() == 4 * (4 + 1 + 24)
    # A table for each of 5 clients: a client receives its own. What a method sends beside it counts.
    own = TablePerClient(torch.zeros(5, 8, 3, dtype=dtype), torch.arange(5))
    more = {"control": torch.zeros(7, dtype=dtype), "graph": OneTable(torch.zeros(8, 2, dtype=dtype))}
    assert Broadcast(0, dense, {"e": own}, more).num_bytes() == 4 * (4 + 1 + 24 + 7 + 16)


def upload(per_client: bool = True, clients: int = 3) -> Upload:
    """Random uploads of a weight, a bias and rows of a table of 8 items."""
    dense = {"w": normal(0, clients, 2, 2), "b": normal(1, clients)}
    items, counts = torch.zeros(clients, 4, dtype=torch.int64), torch.tensor([4, 0, 2])[:clients]
    made = Upload(torch.arange(clients), dense, {"e": normal(2, clients, 4, 3)}, items, counts, 8, per_client=True)
    return made if per_client else made.summed()


@pytest.mark.parametrize("per_client", [True, False])
def test_a_client_sends_whole_tables_and_its_dense_parameters(per_client: bool) -> None:
    assert upload(per_client).num_bytes() == 4 * (4 + 1 + 8 * 3)
    assert upload(per_client, clients=1).num_bytes() == 4 * (4 + 1 + 8 * 3)
    assert upload(per_client).total_bytes() == 3 * 4 * (4 + 1 + 8 * 3)


def test_clients_that_send_lists_of_items_send_an_index_each() -> None:
    items, counts = torch.zeros(2, 3, dtype=torch.int64), torch.tensor([3, 1])
    assert Upload(torch.arange(2), {}, {}, items, counts, 8, per_client=False).total_bytes() == 4 * (3 + 1)


@pytest.mark.parametrize("per_client", [True, False])
def test_touched_rows_travel_with_their_numbers(per_client: bool) -> None:
    assert upload(per_client).touched_bytes().tolist() == [4 * (5 + 4 * 4), 4 * 5, 4 * (5 + 2 * 4)]
    dense = {"w": torch.zeros(2, 2)}
    more = {"control": torch.zeros(7), "graph": OneTable(torch.zeros(8, 2))}
    sent = Broadcast(0, dense, {"e": OneTable(torch.zeros(8, 3))}, more)
    assert sent.touched_bytes(torch.tensor([4, 0])).tolist() == [4 * (4 + 7 + 4 * 5), 4 * (4 + 7)]


def test_summed_sums_dense_parameters_once() -> None:
    made = upload()
    total = made.summed()
    assert torch.equal(total.dense["w"], made.dense["w"].sum(0))
    assert total.dense["b"].shape == ()
    assert total.rows is made.rows
    assert (made.per_client, total.per_client) == (True, False)
    assert total.summed() is total


def test_real_rows_are_those_that_are_counted() -> None:
    assert upload().real().tolist() == [[True] * 4, [False] * 4, [True, True, False, False]]


def test_tables_give_each_client_its_rows() -> None:
    weight, clients, items = normal(0, 2, 8, 3), torch.tensor([4, 0, 4]), torch.tensor([[1, 1], [7, 0], [2, 3]])
    place = torch.tensor([1, 0, 0, 0, 0])
    own, one = TablePerClient(weight, place), OneTable(weight[0])
    assert own.shape == one.shape == (8, 3)
    assert own.dtype == one.dtype == torch.float64
    expected = torch.stack([weight[place[c], row] for c, row in zip(clients, items, strict=True)])
    assert torch.equal(own.rows(clients, items), expected)
    assert torch.equal(own.rows(clients, items[:1]), torch.stack([weight[place[c], items[0]] for c in clients]))
    assert torch.equal(one.rows(clients, items), weight[0][items])
    assert one.rows(clients, items[:1]).shape == (1, 2, 3)


# ---------------------------------------------------------------------- steps on the way


class Pass(UploadStep):
    """Does nothing, and takes down what it was given."""

    def __init__(self, seen: list[Any]) -> None:
        super().__init__()
        self.seen = seen

    def on_client(self, upload: Upload) -> Upload:
        self.seen.append(("client", self.exchange.round, upload.per_client, upload.clients.tolist()))
        return upload

    def on_server(self, direction: Params) -> Params:
        self.seen.append(("server", self.exchange.round))
        return direction


DELTAS: dict[str, Any] = {"upload": DeltaUpload(lr=0.1)}
COMPOSITIONS: list[tuple[Recommender, dict[str, Any], type[Server]]] = [
    (NCF(4, 2), {}, EachClient),
    (NCF(4, 2), DELTAS, MeanServer),
    (NCF(4, 2), {**DELTAS, "rho_shared": 0.1}, EachClient),
    (PFedRec(4), {**DELTAS, "order": "private_first", "batch_size": 3}, MeanServer),
    (PFedRec(4), {}, MeanServer),
]


def after_rounds(parts: Any, uploads: list[UploadStep]) -> dict[str, Tensor]:
    """Parameters after two rounds, and the figures of the second."""
    recommender, options, kind = parts
    module = federation(recommender, LocalTraining(**options), 6, 12, kind("adam", 0.1), torch.float32, uploads=uploads)
    for number in range(2):
        module.training_step(random_cohort([0, 1, 4], [9, 14, 3], 12, number=number), 0)
    logged = {name: torch.as_tensor(value, dtype=torch.float64) for name, value in module.logged.items()}
    return snapshot(module) | logged


@pytest.mark.parametrize("parts", COMPOSITIONS)
def test_steps_that_do_nothing_leave_the_bits_as_they_are(parts: Any) -> None:
    """Where dense uploads are summed from one each; a sum over all examples at once is another order of addition."""
    seen: list[Any] = []
    plain, passed = after_rounds(parts, []), after_rounds(parts, [Pass(seen), Pass(seen)])
    assert set(plain) == set(passed)
    assert all(torch.equal(passed[name], value) for name, value in plain.items())
    assert [entry for entry in seen if entry[0] == "server"] == [("server", 0)] * 2 + [("server", 1)] * 2
    on_client = [entry for entry in seen if entry[0] == "client"]
    assert all(per_client for _, _, per_client, _ in on_client)
    for number in (0, 1):  # every client's upload passes each step once
        clients = [c for _, round_, _, own in on_client if round_ == number for c in own]
        assert sorted(clients) == [0, 0, 1, 1, 4, 4]
