"""``DeltaUpload``: each client's optimiser against torch's on a full copy, and received minus final."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from fedrec.client.delta_upload import DeltaUpload
from fedrec.client.plan import Bucket
from fedrec.client.rates import Rates
from fedrec.client.shared_side import SharedSide
from fedrec.errors import InputError
from fedrec.models.recommender import Params
from fedrec.server import MeanServer
from tests.client.uploading import ITEMS, D, buckets_of, drawn_gradient, of_client, sent

EXACT = {"rtol": 1e-10, "atol": 1e-12}
SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=4)
BATCHES = st.none() | st.integers(1, 4)


def optimiser(rule: DeltaUpload, copy: Params) -> torch.optim.Optimizer:
    """Torch's optimiser of a full copy, a parameter a group."""
    kind: Any = torch.optim.Adam if rule.optimizer == "adam" else torch.optim.SGD
    groups = [{"params": [value], "name": name} for name, value in copy.items()]
    return kind(groups, lr=rule.lr, weight_decay=rule.weight_decay)  # type: ignore[no-any-return]


def train(rule: DeltaUpload, bucket: Bucket, round_: int, seed: int) -> tuple[SharedSide, list[Params]]:
    """Train a bucket with random gradients, and a full copy for each client with torch; compare at every step."""
    origin, received = sent(round_)
    side = rule.begin(origin, bucket, "summed")
    copies = [{name: value.clone().requires_grad_() for name, value in received.items()} for _ in bucket.clients]
    optimisers = [optimiser(rule, copy) for copy in copies]
    for number, step in enumerate(bucket.steps):
        now, gradient = side.values(step), drawn_gradient(step, seed + 10 * number)
        for b, copy in enumerate(copies):
            used = step.weight[b] > 0
            if not bool(used.any()):
                continue
            assert_close(now.rows["e"][b][used], copy["e"].detach()[bucket.step_items(step)[b][used]], **EXACT)
            w = now.dense["w"]
            assert isinstance(w, Tensor)
            assert_close(w[b] if w.dim() == 3 else w, copy["w"].detach(), **EXACT)
            for name, value in of_client(gradient, bucket, step, b).items():
                copy[name].grad = value.clone()
            for group in optimisers[b].param_groups:
                group["lr"] = rule.lr * rule.rates.of(group["name"], round_, number)
            optimisers[b].step()
        side.take(gradient, step, number)
    return side, [{name: value.detach() for name, value in copy.items()} for copy in copies]


@settings(max_examples=30, deadline=None)
@given(sizes=SIZES, batch=BATCHES, kind=st.sampled_from(["adam", "sgd"]), seed=st.integers(0, 99))
def test_delta_is_that_of_torchs_optimiser_on_a_full_copy(
    sizes: list[int], batch: int | None, kind: Any, seed: int
) -> None:
    (bucket,) = buckets_of(sizes, batch, seed)
    side, copies = train(DeltaUpload(kind, 0.1), bucket, 0, seed)
    upload, received = side.upload(), sent()[1]
    assert upload.per_client
    assert upload.scale == {}
    for b, copy in enumerate(copies):
        for name in ("w", "b"):
            assert_close(upload.dense[name][b], received[name] - copy[name], **EXACT)
        count = int(bucket.counts[b])
        change = received["e"] - copy["e"]
        assert_close(upload.rows["e"][b, :count], change[bucket.items[b, :count]], **EXACT)
        assert not upload.rows["e"][b, count:].any()  # padding uploads nothing
        untouched = torch.ones(ITEMS, dtype=torch.bool)
        untouched[bucket.items[b, :count]] = False
        assert not change[untouched].any()  # what a client does not hold a copy of did not move


@settings(max_examples=20, deadline=None)
@given(sizes=SIZES, batch=BATCHES, kind=st.sampled_from(["adam", "sgd"]), seed=st.integers(0, 99))
def test_rates_are_those_of_the_parameter_the_round_and_the_step(
    sizes: list[int], batch: int | None, kind: Any, seed: int
) -> None:
    (bucket,) = buckets_of(sizes, batch, seed)
    rates = Rates({"w": 3.0, "e": 0.25}, round_decay=0.5, step_decay=0.75)
    side, copies = train(DeltaUpload(kind, 0.1, rates=rates), bucket, 2, seed)
    for b, copy in enumerate(copies):
        assert_close(side.upload().dense["w"][b], sent()[1]["w"] - copy["w"], **EXACT)


@settings(max_examples=30, deadline=None)
@given(sizes=SIZES, batch=BATCHES, decay=st.sampled_from([0.01, 0.5, 4.0]), seed=st.integers(0, 99))
def test_with_decay_the_server_gets_the_mean_of_whole_tables(
    sizes: list[int], batch: int | None, decay: float, seed: int
) -> None:
    """Rows that no example touched shrink too: every client's by its own number of steps, in buckets of one or more."""
    received = sent()[1]
    server = MeanServer("sgd", 1.0)
    server.initialise({name: value.clone() for name, value in received.items()}, ["e"])
    server.begin_round()
    finals: list[Params] = []
    for bucket in buckets_of(sizes, batch, seed, budget=100):
        side, copies = train(DeltaUpload("sgd", 0.1, weight_decay=decay), bucket, 0, seed)
        server.aggregate(side.upload().summed())
        finals += copies
    assert len(finals) == len(sizes)
    server.step(server.make_optimizer(), 0)
    for name, value in server.parameters_now().items():  # rate 1: the parameters become the mean of the copies
        assert_close(value, torch.stack([copy[name] for copy in finals]).mean(0), **EXACT)


@settings(max_examples=15, deadline=None)
@given(sizes=SIZES, batch=BATCHES, seed=st.integers(0, 99))
def test_what_a_client_keeps_is_its_whole_copy(sizes: list[int], batch: int | None, seed: int) -> None:
    (bucket,) = buckets_of(sizes, batch, seed)
    side, copies = train(DeltaUpload("sgd", 0.1, weight_decay=0.5), bucket, 0, seed)
    kept = side.copy()
    assert kept is not None
    assert not kept.continues  # they started from what the server sent
    for b, copy in enumerate(copies):
        table = sent()[1]["e"] * kept.scale["e"][b]
        count = int(kept.counts[b])
        table[kept.items[b, :count]] = kept.rows["e"][b, :count]
        assert_close(table, copy["e"], **EXACT)
        assert_close(kept.dense["w"][b], copy["w"], **EXACT)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_working_memory_grows_with_the_copy(optimizer: Any) -> None:
    row, client = DeltaUpload(optimizer).working_floats(dense=100, row=D)
    assert row >= 2 * D
    assert client >= 200
    assert (row, client) == {"adam": (6 * D, 600), "sgd": (2 * D, 200)}[optimizer]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0.0}, r"model\.client\.upload\.lr=0\.0: a learning rate"),
        ({"lr": float("nan")}, r"model\.client\.upload\.lr=nan: a learning rate"),
        ({"weight_decay": -0.1}, r"model\.client\.upload\.weight_decay=-0\.1: expected a finite number"),
        ({"weight_decay": float("inf")}, r"model\.client\.upload\.weight_decay=inf"),
        ({"row_decay": -0.1}, r"model\.client\.upload\.row_decay=-0\.1: expected a finite number"),
        ({"weight_decay": 0.1, "optimizer": "adam"}, r"model\.client\.upload\.weight_decay: needs optimizer=sgd"),
    ],
)
def test_options_out_of_range_are_refused(options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        DeltaUpload(**options)
