"""GPFedRec against one client after another, each with its own model and table, and a graph made pair by pair."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cosine_similarity, mse_loss
from torch.testing import assert_close

from fedrec.client import DeltaUpload, LocalTraining
from fedrec.client.gpfedrec import RegularisedTables
from fedrec.client.stores import FullTables, TunedRows
from fedrec.data.cohort import Cohort
from fedrec.errors import InputError
from fedrec.models.recommender import Params
from fedrec.server import GraphServer, MeanServer
from tests.compositions import composition
from tests.methods.slow import EVERYBODY, EVERYTHING, EXACT, ITEMS, USERS, after, batches, cohorts
from tests.models.test_gpfedrec import one_logit
from tests.reference.adapter import BareFederation
from tests.small import random_cohort

LAYERS, REG = 2, 0.1


def made(budget_mib: float = 64.0, **server: Any) -> Any:
    method = composition("gpfedrec")
    module = BareFederation(method.recommender, method.client, GraphServer(**server), 3, budget_mib)
    module.initialise(USERS, ITEMS)
    return module.to(torch.float64)


def everybody() -> Iterator[Cohort]:
    """Rounds of all clients."""
    for number in range(3):
        yield random_cohort(list(range(USERS)), [5 + (7 * c) % 19 for c in range(USERS)], ITEMS, number=number)


def trained(cohort: Cohort, place: int, model: Params, sent: Tensor, personal: Tensor) -> Tensor:
    """One client's table after a round, its model moved in place: three optimisers, the published code's rates."""
    table = sent.clone().requires_grad_()
    leaves = {name: value.requires_grad_() for name, value in model.items()}
    network = [value for name, value in leaves.items() if name != "user"]
    rates = ((network, 0.1), ([leaves["user"]], 0.1 * 80 - 0.1), ([table], 0.1 * ITEMS * 80))
    optimisers = [torch.optim.SGD(values, lr=rate) for values, rate in rates]
    for items, labels in batches(cohort, place, epochs=1, size=8):
        logits = torch.stack([one_logit(leaves, table[item], LAYERS) for item in items.tolist()])
        loss = binary_cross_entropy_with_logits(logits, labels) + REG * mse_loss(table, personal)
        for optimiser in optimisers:
            optimiser.zero_grad()
        loss.backward()
        for optimiser in optimisers:
            optimiser.step()
    for value in leaves.values():
        value.requires_grad_(False)
    return table.detach()


def smoothed(held: dict[int, Tensor], distance: bool, layers: int) -> dict[int, Tensor]:
    """Every user's personal table, from the tables of all."""
    users = sorted(held)
    cosine = {
        (u, v): 1.0 if u == v else float(cosine_similarity(held[u].flatten(), held[v].flatten(), dim=0))
        for u in users
        for v in users
    }
    score = {pair: 1 - value if distance else value for pair, value in cosine.items()}
    threshold = sum(score.values()) / len(score)
    near = {u: [v for v in users if score[u, v] > threshold] or [u] for u in users}
    for _ in range(layers):
        held = {u: torch.stack([held[v] for v in near[u]]).mean(0) for u in users}
    return held


@pytest.mark.parametrize("budget_mib", [0.006, 64.0])
@pytest.mark.parametrize(
    ("similarity", "mp_layers", "rounds"),
    [("cosine", 1, everybody), ("cosine_distance", 2, everybody), ("cosine", 2, cohorts)],
    ids=["all clients, cosine", "all clients, distance, two layers", "some clients, two layers"],
)
def test_rounds_are_those_of_one_client_after_another(
    similarity: str, mp_layers: int, rounds: Any, budget_mib: float
) -> None:
    module = made(budget_mib, similarity=similarity, mp_layers=mp_layers)
    common = module.server.shared["item"].detach().clone()
    own = [{n: module.private.get_buffer(n)[u].clone() for n in module.private.names} for u in range(USERS)]
    held: dict[int, Tensor] = {}
    personal: dict[int, Tensor] = {}
    for cohort in rounds():
        for place, u in enumerate(cohort.clients.tolist()):
            held[u] = trained(cohort, place, own[u], common, personal.get(u, common))
        personal = smoothed(held, similarity == "cosine_distance", mp_layers)
        common = torch.stack(list(personal.values())).mean(0)
        module.training_step(cohort, 0)
    assert_close(module.server.shared["item"].detach(), common, **EXACT)
    tables = [held.get(u, common) for u in range(USERS)]  # who never took part scores with the global table
    expected = [[float(one_logit(own[u], row, LAYERS)) for row in table] for u, table in enumerate(tables)]
    found = module.scorer()(EVERYBODY, EVERYTHING)
    assert_close(found, torch.tensor(expected, dtype=torch.float64), **EXACT)


def test_without_the_regulariser_it_is_delta_upload() -> None:
    found = []
    for kind in ("whole", "delta"):
        method = composition("gpfedrec")
        if kind == "whole":
            method.client.upload.reg = 0.0
        else:
            method.client.upload = DeltaUpload("sgd", 8.0, lr_per_item=True)
        module = BareFederation(method.recommender, method.client, MeanServer("sgd", 1.0), 3)
        module.initialise(USERS, ITEMS)
        found.append(after(module.to(torch.float64)))
    assert_close(*found, **EXACT)


def test_bytes_are_those_of_a_table_up_and_two_down() -> None:
    module = made()
    for cohort in list(cohorts())[:2]:
        module.training_step(cohort, 0)
        table = 4 * ITEMS * 4
        assert module.logged["train/bytes_up"] == len(cohort.clients) * table
        assert module.logged["train/bytes_down"] == 2 * len(cohort.clients) * table


def test_operations_count_the_clients_own_matrices() -> None:
    module, cohort = made(), next(cohorts())
    module.training_step(cohort, 0)
    # Entries: distinct items of each step. A logit reads two halves of 4 x 4, a layer of 2 x 4, and a row of 4.
    entries = sum(
        len(items.unique())
        for place in range(len(cohort.clients))
        for items, _ in batches(cohort, place, epochs=1, size=8)
    )
    assert module.logged["train/gflop"] == pytest.approx(6 * (16 + 16 + 8 + 4) * entries / 1e9, rel=1e-12)


def test_a_round_cut_off_leaves_nothing_at_the_server() -> None:
    module, other = made(), made()
    first, second, _ = cohorts()
    for one in (module, other):
        one.training_step(first, 0)
    broadcast = module.server.broadcast(1, second.clients)
    origin = module.client.receive(module.recommender, broadcast, second)
    module.server.begin_round()
    for bucket in module.client.buckets(module.recommender, second, origin, module.budget):
        own = module.private.read(bucket.clients)
        updates = module.client.train(module.recommender, origin, own, bucket, module.wanted)
        module.server.aggregate(updates.upload)
    module.server.begin_round()
    for name, value in module.server.state_dict().items():
        assert torch.equal(value, other.server.state_dict()[name]), name


def test_tables_that_a_step_takes_beyond_the_personal_ones_are_refused() -> None:
    method = composition("gpfedrec")
    method.client.upload.reg = 1.0
    module = BareFederation(method.recommender, method.client, GraphServer(), 3)
    module.initialise(USERS, ITEMS)
    message = r"upload\.reg=1: at this rate a step goes 4 times the way to the personal table; expected less"
    with pytest.raises(InputError, match=message):
        module.training_step(next(cohorts()), 0)


@pytest.mark.parametrize(
    ("server", "store", "message"),
    [
        (89.0, 25.0, r"GraphServer: the tables of 943 clients.* take 89\.6 MiB, above model\.server\.limit_mib=89;"),
        (90.0, 24.0, r"FullTables: a table for each of 943 clients takes 24\.2 MiB, above limit_mib=24;"),
    ],
)
def test_tables_above_the_limits_are_refused_before_the_start(server: float, store: float, message: str) -> None:
    method = composition("gpfedrec")
    method.client.store = FullTables(store)
    module = BareFederation(method.recommender, method.client, GraphServer(limit_mib=server), 3)
    with pytest.raises(InputError, match=message):
        module.initialise(943, 1682)  # with rows of 4 numbers


def test_a_graph_of_many_users_counts_however_few_items_there_are() -> None:
    method = composition("gpfedrec")
    module = BareFederation(method.recommender, method.client, GraphServer(limit_mib=100_000.0), 3)
    with pytest.raises(InputError, match=r"of 100000 clients.* and their graph take 190,744 MiB, above"):
        module.initialise(100_000, 2)


def test_a_store_of_a_few_rows_is_refused() -> None:
    method = composition("gpfedrec")
    with pytest.raises(
        InputError, match=r"store=TunedRows: upload=RegularisedTables moves whole item tables; expected"
    ):
        LocalTraining(optimizer="sgd", upload=method.client.upload, store=TunedRows())


def test_memory_of_whole_tables_is_counted() -> None:
    upload = composition("gpfedrec").client.upload
    assert upload.working_floats(dense=5, row=4, items=ITEMS)[1] >= 3 * ITEMS * 4


@pytest.mark.parametrize("reg", [-1.0, float("inf"), float("nan")])
def test_strengths_out_of_range_are_refused(reg: float) -> None:
    with pytest.raises(InputError, match=r"model\.client\.upload\.reg="):
        RegularisedTables(reg=reg)
