"""Which clients, servers and steps go together: for all shipped ones of a kind, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch.testing import assert_close

import fedrec.server
from fedrec.client import FCF, DeltaUpload, LocalTraining
from fedrec.client.client import Client
from fedrec.client.colr import LowRankUpload
from fedrec.client.gpfedrec import RegularisedTables
from fedrec.client.start import FromOwn
from fedrec.client.stores import FullTables, OwnCopy, Store, TunedRows
from fedrec.errors import InputError
from fedrec.federation import FederatedRecommender
from fedrec.models import MF, NCF, ItemBias, PFedRec
from fedrec.models.recommender import Recommender
from fedrec.server import GraphServer, LastUpdate, LocalOnlyServer, LowRankServer, MeanServer, RowFrequency, Server
from fedrec.uploads import (
    Clip,
    ErrorFeedback,
    LocalNoise,
    Promotion,
    Quantise,
    SecureSum,
    SignFlip,
    TopK,
    UnclippedNoise,
    UploadStep,
)
from tests.small import federation, random_cohort, snapshot

D = 4
TABLES = RegularisedTables(lr=0.1, lr_per_item=False, reg=0.0)
SERVERS = [
    kind
    for kind in (getattr(fedrec.server, name) for name in fedrec.server.__all__)
    if issubclass(kind, Server) and kind is not Server and not kind.takes_lists
]


def made(client: Client, server: Server, uploads: Sequence[UploadStep] = ()) -> FederatedRecommender:
    return FederatedRecommender(MF(D, item_bias=False), client, server, uploads=list(uploads))


def training(upload: Any) -> LocalTraining:
    return LocalTraining(upload=upload)


# ---------------------------------------------------------------------- factors in place of rows


@pytest.mark.parametrize("server", [kind for kind in SERVERS if kind is not LowRankServer])
def test_factors_are_for_a_server_that_draws_a_basis(server: type[Server]) -> None:
    with pytest.raises(InputError, match=rf"LocalTraining sends factors .*server={server.__name__} takes rows; expect"):
        made(training(LowRankUpload()), server())


@pytest.mark.parametrize("rank", [1, D])
@pytest.mark.parametrize(
    "client",
    [
        FCF(),
        training(None),
        training(DeltaUpload()),
        training(TABLES),
    ],
)
def test_a_server_that_draws_a_basis_takes_factors_alone(client: Client, rank: int) -> None:
    name = type(client).__name__
    with pytest.raises(InputError, match=rf"client={name} sends rows .*server=LowRankServer takes factors; expected"):
        made(client, LowRankServer(rank))


@pytest.mark.parametrize("steps", [[Clip(1e9), LocalNoise(0.0)], [SecureSum(64.0)]])
def test_factors_may_come_as_whole_tables_or_as_a_sum(steps: list[UploadStep]) -> None:
    found = []
    for uploads in (steps, []):
        server = LowRankServer(2, rows_over="clients")
        module = federation(MF(D, item_bias=False), training(LowRankUpload()), 6, 12, server, uploads=uploads)
        module.training_step(random_cohort([0, 2, 5], [4, 9, 3], 12), 0)
        found.append(snapshot(module))
    for key, value in found[1].items():
        assert_close(found[0][key], value, rtol=0, atol=1e-6)


FROM_ROUND_TO_ROUND = [ErrorFeedback([TopK(number=2)]), Promotion(1, 0.5)]


@pytest.mark.parametrize("step", FROM_ROUND_TO_ROUND, ids=type)
@pytest.mark.parametrize("rank", [1, D])
def test_what_is_remembered_in_numbers_needs_rows_that_mean_the_same_a_round_later(step: UploadStep, rank: int) -> None:
    """Factors are of a basis that is another one in every round, also with as many numbers as a row has."""
    made(training(DeltaUpload()), MeanServer("sgd", 1.0), [step])
    with pytest.raises(
        InputError, match=rf"^model\.uploads: {type(step).__name__} .*factors of a basis that is another"
    ):
        made(training(LowRankUpload()), LowRankServer(rank), [step])


@pytest.mark.parametrize("step", [TopK(number=2), Quantise(4), Clip(1.0), SignFlip(0.5), Promotion(1, 0.0)], ids=type)
def test_what_is_done_in_a_round_alone_acts_on_factors(step: UploadStep) -> None:
    made(training(LowRankUpload()), LowRankServer(2), [step])


# ---------------------------------------------------------------------- clients that go on with what they kept

STORES = [TunedRows, FullTables, OwnCopy]


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("recommender", [NCF(D, 2), ItemBias(NCF(D, 1)), MF(D), PFedRec(D)], ids=type)
def test_where_nothing_travels_clients_keep_all_that_they_move(recommender: Recommender, store: type[Store]) -> None:
    client = LocalTraining(upload=DeltaUpload(lr=0.1), start=FromOwn(), store=store())
    if recommender.dense_dims and store is not OwnCopy:
        with pytest.raises(InputError, match=r"LocalOnlyServer: nothing travels, and model\.client\.store keeps item"):
            federation(recommender, client, 6, 12, LocalOnlyServer())
        return
    module = federation(recommender, client, 6, 12, LocalOnlyServer())
    module.training_step(random_cohort([0, 2], [4, 9], 12), 0)
    served = module.server.parameters_now()
    dense = {name: served[name] for name in recommender.dense_dims}
    kept = module.private.kept.dense(dense, torch.tensor([0, 2]))
    assert all((kept[name] != value).any() for name, value in dense.items())


@pytest.mark.parametrize("store", STORES)
def test_a_store_says_whether_it_holds_dense_parameters(store: type[Store]) -> None:
    client = LocalTraining(upload=DeltaUpload(lr=0.1), start=FromOwn(), store=store())
    module = federation(NCF(D, 1), client, 6, 12, MeanServer("sgd", 1.0))
    module.training_step(random_cohort([0, 2], [4, 9], 12), 0)
    dense = {"output_mlp": module.server.parameters_now()["output_mlp"]}
    kept = module.private.kept.dense(dense, torch.tensor([0, 2]))
    assert store.holds_dense == (kept is not dense)


# ---------------------------------------------------------------------- whole tables, in which no item is listed


WHOLE: list[tuple[Any, list[UploadStep]]] = [
    (DeltaUpload(), [Clip(1.0), LocalNoise(1.0)]),
    (None, [UnclippedNoise(1.0)]),
    (TABLES, []),
    (TABLES, [TopK(number=3)]),
]


@pytest.mark.parametrize(("rule", "steps"), WHOLE)
def test_what_counts_listed_rows_is_not_computed_of_whole_tables(rule: Any, steps: list[UploadStep]) -> None:
    made(training(rule), MeanServer("sgd", 1.0), steps)
    with pytest.raises(InputError, match=r"^model\.server\.sends: RowFrequency is computed from the rows .* expected"):
        made(training(rule), MeanServer("sgd", 1.0, sends=[LastUpdate(), RowFrequency()]), steps)


@pytest.mark.parametrize(("rule", "steps"), WHOLE)
def test_whole_tables_arrive_without_a_list_of_items_and_their_bytes_are_counted(
    rule: Any, steps: list[UploadStep]
) -> None:
    module = federation(MF(D, item_bias=False), training(rule), 6, 12, uploads=steps)
    arriving, aggregate = [], module.server.aggregate
    module.server.aggregate = lambda upload: (arriving.append(upload), aggregate(upload))[1]  # type: ignore[assignment]
    drawn = random_cohort([0, 2, 5], [4, 9, 3], 12)
    module.training_step(drawn, 0)
    assert arriving
    assert not any(upload.items.numel() or upload.real().any() for upload in arriving)
    distinct = [len(set(drawn.items[0, own:end].tolist())) for own, end in pairwise(drawn.offsets.tolist())]
    assert float(module.logged["train/bytes_down_touched"]) == 4 * D * sum(distinct)
    if not any(isinstance(step, TopK) for step in steps):
        assert float(module.logged["train/bytes_up_touched"]) == module.logged["train/bytes_up"] == 3 * 4 * 12 * D


# ---------------------------------------------------------------------- tables of each client's own


@pytest.mark.parametrize("server", [kind for kind in SERVERS if kind not in (GraphServer, LowRankServer)])
def test_personal_tables_are_what_a_server_of_their_kind_sends(server: type[Server]) -> None:
    held = RegularisedTables(lr=0.1, lr_per_item=False, reg=0.1)
    with pytest.raises(InputError, match=rf"item tables near personal ones, .*server={server.__name__} sends none"):
        made(training(held), server())
    made(training(held), GraphServer())


@pytest.mark.parametrize("upload", [None, DeltaUpload("sgd", 1.0)])
def test_a_graph_of_users_needs_whole_tables(upload: Any) -> None:
    with pytest.raises(InputError, match=r"server=GraphServer needs whole item tables, .*LocalTraining sends rows; ex"):
        made(training(upload), GraphServer())
    made(training(TABLES), GraphServer())
    made(training(upload), GraphServer(), [Clip(1.0), LocalNoise(0.1)])
