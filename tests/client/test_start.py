"""Where local training starts: features of items while all clients stand where the server does, own copies after."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.testing import assert_close

from fedrec.client import DeltaUpload, GradientUpload
from fedrec.client.part import Part
from fedrec.client.plan import Bucket, Step
from fedrec.client.start import FromBroadcast, FromOwn, Origin, received
from fedrec.client.stores import Nothing, OwnCopy
from fedrec.client.stores.store import Copy
from fedrec.exchange import Broadcast, OneTable, TablePerClient
from fedrec.models import NCF
from tests.client.uploading import ITEMS, D
from tests.small import cohort, generator, like, normal


def test_features_are_looked_up_by_the_items_slot_until_the_clients_have_moved() -> None:
    # Items 2 and 5 alone have features, in rows 0 and 1.
    features = torch.tensor([[20.0], [50.0]])
    slot = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1])
    broadcast = Broadcast(0, {}, {"e": OneTable(torch.zeros(ITEMS, D))})
    origin = Origin(broadcast, {}, broadcast.tables, False, {"f": features}, slot)
    step = Step(torch.tensor([[1, 0, 1]]), torch.ones(1, 3), torch.zeros(1, 3), None)
    one = torch.tensor([0]), torch.tensor([0]), torch.tensor([[2, 5]]), torch.tensor([2]), torch.tensor([3])
    bucket = Bucket(*one, blocks=torch.ones(1), steps=[step], max_entries=9)
    for side in (GradientUpload().begin(origin, bucket, "summed"), DeltaUpload(lr=0.1).begin(origin, bucket, "summed")):
        assert side.features(step)["f"][0, :, 0].tolist() == [50.0, 20.0, 50.0]
    side.take(Part({}, {"e": torch.ones(1, 3, D)}), step, 0)
    assert side.features(step) == {}
    assert replace(origin, features={}).item_features(bucket.step_items(step)) == {}


def test_features_of_a_cohorts_items_are_those_of_the_whole_tables() -> None:
    recommender = NCF(4, 2)
    shared = like(recommender.initial_shared(ITEMS, generator(0)), 0)
    dense = {name: value for name, value in shared.items() if name not in recommender.item_tables}
    tables = {name: OneTable(shared[name]) for name in recommender.item_tables}
    drawn = cohort((0, [6, 1, 6], [1, 0, 0]), (3, [1, 4], [0, 1]))
    origin = received(recommender, Broadcast(0, dense, tables), drawn)
    whole, items = recommender.item_features(shared), torch.tensor([[4, 1, 6]])
    found = origin.item_features(items)
    assert set(found) == set(whole) != set()
    for name, value in found.items():
        assert len(origin.features[name]) == 3  # of the cohort's items, and of no other
        assert_close(value, whole[name][items])
    assert (origin.num_items, origin.dtype, origin.per_client, origin.continues) == (ITEMS, torch.float64, False, False)


def test_clients_with_a_table_each_have_no_features_in_common() -> None:
    recommender = NCF(4, 2)
    shared = like(recommender.initial_shared(ITEMS, generator(0)), 0)
    tables = {n: TablePerClient(shared.pop(n).expand(2, -1, -1), torch.tensor([0, 1])) for n in recommender.item_tables}
    origin = received(recommender, Broadcast(0, shared, tables), cohort((0, [6, 1], [1, 0])))
    assert origin.features == {}
    assert origin.tables == tables


def test_a_client_goes_on_from_its_own_copy_once_it_has_one() -> None:
    dense, table = {"w": normal(0, 2)}, normal(1, ITEMS, D)
    broadcast = Broadcast(4, dense, {"e": OneTable(table)})
    origin = Origin(broadcast, dense, broadcast.tables, False, {"f": normal(2, ITEMS, 1)}, torch.arange(ITEMS))
    store, both = OwnCopy(), torch.tensor([0, 1])
    store.initialise(2, {"e": torch.zeros(ITEMS, D).double()}, {"w": torch.zeros(2).double()})
    own = Copy(torch.tensor([[3]]), torch.tensor([1]), {"w": normal(3, 1, 2)}, {"e": normal(4, 1, 1, D)})
    store.write(torch.tensor([1]), own)
    store.end_round(Broadcast(3, dense, {"e": OneTable(normal(5, ITEMS, D))}))

    assert FromBroadcast()(origin, store, both) is origin
    start = FromOwn()(origin, store, both)
    assert (start.broadcast, start.per_client, start.continues, start.features) == (broadcast, True, True, {})
    rows = start.tables["e"].rows(both, torch.tensor([[3, 0]]).expand(2, -1))
    assert torch.equal(start.dense["w"], torch.stack([dense["w"], own.dense["w"][0]]))
    assert torch.equal(rows[0], table[[3, 0]])  # its first round: what the server sent
    assert torch.equal(rows[1], torch.stack([own.rows["e"][0, 0], normal(5, ITEMS, D)[0]]))


def test_where_nothing_is_kept_own_is_what_the_server_sent() -> None:
    dense = {"w": normal(0, 2)}
    broadcast = Broadcast(0, dense, {"e": OneTable(normal(1, ITEMS, D))})
    origin = Origin(broadcast, dense, broadcast.tables, False, {}, torch.arange(ITEMS))
    start = FromOwn()(origin, Nothing(), torch.tensor([0]))
    assert start.dense is dense
    assert not start.per_client
    assert start.tables is broadcast.tables
