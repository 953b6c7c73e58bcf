"""Where clients read the shared parameters, and what they upload: sums of gradients, or received minus final."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from fedrec.client.objective import Gradients
from fedrec.client.plan import Bucket, LocalPlan, Step
from fedrec.client.shared_side import Broadcast, DeltaUpload, GradientUpload
from fedrec.models.linear import OuterProducts
from tests.small import normal, random_cohort

ITEMS, D = 8, 3
EXACT = {"rtol": 1e-10, "atol": 1e-12}


def sent() -> Broadcast:
    return Broadcast({"w": normal(0, 2, 2), "b": normal(1)}, {"e": normal(2, ITEMS, D)}, {}, torch.arange(ITEMS))


def bucket_of(sizes: list[int], batch: int | None, seed: int) -> Bucket:
    """All clients in one bucket; the shorter ones rest while the others still have steps."""
    plan = LocalPlan(random_cohort(list(range(len(sizes))), sizes, ITEMS, seed), 2 if batch else 1, batch, 128)
    (bucket,) = plan.buckets(10**9, 1, 1, torch.float64)
    return bucket


def drawn_gradients(bucket: Bucket, step: Step, seed: int) -> Gradients:
    """Random gradients: none on padding, none for a client that rests."""
    clients, size = step.weight.shape
    used = (step.weight > 0)[..., None]
    active = torch.ones(clients) if step.active is None else step.active.double()
    dense = {
        "w": OuterProducts(normal(seed, clients, 4, 2) * active[:, None, None], normal(seed + 1, clients, 4, 2)),
        "b": normal(seed + 2, clients) * active,
    }
    return Gradients(torch.zeros(clients), dense, {"e": normal(seed + 3, clients, size, D) * used}, {})


def table_gradient(bucket: Bucket, step: Step, gradients: Gradients, b: int) -> Tensor:
    """One client's row gradients as those of the whole table."""
    items = bucket.items[b] if step.rows is None else bucket.items[b][step.rows[b]]
    return torch.zeros(ITEMS, D, dtype=torch.float64).index_add_(0, items, gradients.rows["e"][b])


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    batch=st.none() | st.integers(1, 4),
    kind=st.sampled_from(["adam", "sgd"]),
    seed=st.integers(0, 99),
)
def test_delta_is_that_of_torchs_optimiser_on_a_full_copy(
    sizes: list[int], batch: int | None, kind: Any, seed: int
) -> None:
    broadcast, bucket = sent(), bucket_of(sizes, batch, seed)
    side = DeltaUpload(broadcast, bucket, kind, 0.1)
    copies = [{n: v.clone().requires_grad_() for n, v in (broadcast.dense | broadcast.tables).items()} for _ in sizes]
    optimisers = [(torch.optim.Adam if kind == "adam" else torch.optim.SGD)(c.values(), lr=0.1) for c in copies]
    for k, step in enumerate(bucket.steps):
        point = side.point(step, {})
        gradients = drawn_gradients(bucket, step, 10 * k)
        for b, copy in enumerate(copies):
            used = step.weight[b] > 0
            if not bool(used.any()):
                continue
            items = (bucket.items[b] if step.rows is None else bucket.items[b][step.rows[b]])[used]
            assert_close(point.rows["e"][b][used], copy["e"].detach()[items], **EXACT)
            w = point.dense["w"]
            assert isinstance(w, Tensor)
            assert_close(w[b] if w.dim() == 3 else w, copy["w"].detach(), **EXACT)
            factors = gradients.dense["w"]
            assert isinstance(factors, OuterProducts)
            copy["w"].grad, copy["b"].grad = factors.dense()[b].clone(), gradients.dense["b"][b].clone()  # type: ignore[index]
            copy["e"].grad = table_gradient(bucket, step, gradients, b)
            optimisers[b].step()
        side.take(gradients, step)
    dense, rows = side.upload()
    for b, copy in enumerate(copies):
        for name, received in broadcast.dense.items():
            assert_close(dense[name][b], received - copy[name].detach(), **EXACT)
        count = int(bucket.counts[b])
        change = broadcast.tables["e"] - copy["e"].detach()
        assert_close(rows["e"][b, :count], change[bucket.items[b, :count]], **EXACT)
        assert not rows["e"][b, count:].any()  # padding uploads nothing
        untouched = torch.ones(ITEMS, dtype=torch.bool)
        untouched[bucket.items[b, :count]] = False
        assert not change[untouched].any()  # what a client does not hold a copy of did not move


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    batch=st.none() | st.integers(1, 4),
    reduce=st.sampled_from(["sum", "each"]),
    seed=st.integers(0, 99),
)
def test_gradients_of_the_steps_add_up_at_the_same_point(
    sizes: list[int], batch: int | None, reduce: Any, seed: int
) -> None:
    broadcast, bucket = sent(), bucket_of(sizes, batch, seed)
    side = GradientUpload(broadcast, bucket, reduce)
    w = torch.zeros(len(sizes), 2, 2, dtype=torch.float64)
    b, e = torch.zeros(len(sizes), dtype=torch.float64), torch.zeros(len(sizes), ITEMS, D, dtype=torch.float64)
    for k, step in enumerate(bucket.steps):
        items = bucket.items if step.rows is None else bucket.items.gather(1, step.rows)
        point = side.point(step, {})
        assert torch.equal(point.rows["e"], broadcast.tables["e"][items])
        assert all(point.dense[name] is value for name, value in broadcast.dense.items())
        gradients = drawn_gradients(bucket, step, 10 * k)
        factors = gradients.dense["w"]
        assert isinstance(factors, OuterProducts)
        w += factors.dense()
        b += gradients.dense["b"]  # type: ignore[arg-type]
        e += torch.stack([table_gradient(bucket, step, gradients, c) for c in range(len(sizes))])
        if reduce == "sum":
            dense = {"w": factors.dense().sum(0), "b": gradients.dense["b"].sum(0)}  # type: ignore[union-attr]
            gradients = Gradients(gradients.logits, dense, gradients.rows, {})
        side.take(gradients, step)
    dense, rows = side.upload()
    assert_close(dense["w"], w.sum(0) if reduce == "sum" else w, **EXACT)
    assert_close(dense["b"], b.sum(0) if reduce == "sum" else b, **EXACT)
    for c in range(len(sizes)):
        found = torch.zeros(ITEMS, D, dtype=torch.float64).index_add_(0, bucket.items[c], rows["e"][c])
        assert_close(found, e[c], **EXACT)


def test_features_are_looked_up_by_the_items_slot_until_the_clients_have_moved() -> None:
    # Items 2 and 5 alone have features, in rows 0 and 1.
    features = torch.tensor([[20.0], [50.0]])
    slot = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1])
    broadcast = Broadcast({}, {"e": torch.zeros(ITEMS, D)}, {"f": features}, slot)
    step = Step(torch.tensor([[1, 0, 1]]), torch.ones(1, 3), torch.zeros(1, 3), None)
    one = torch.tensor([0]), torch.tensor([0]), torch.tensor([[2, 5]]), torch.tensor([2]), torch.tensor([3])
    bucket = Bucket(*one, blocks=torch.ones(1), steps=[step], max_rows=9)
    for side in (GradientUpload(broadcast, bucket, "sum"), DeltaUpload(broadcast, bucket, "sgd", 0.1)):
        assert side.point(step, {}).features["f"][0, :, 0].tolist() == [50.0, 20.0, 50.0]
    side.take(Gradients(torch.zeros(1, 3), {}, {"e": torch.ones(1, 3, D)}, {}), step)
    assert side.point(step, {}).features == {}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bytes_are_counted_as_they_travel(dtype: torch.dtype) -> None:
    # 4 + 1 dense numbers and a table of 8 * 3, in float32 whatever the arithmetic; features are not sent.
    dense = {"w": torch.zeros(2, 2, dtype=dtype), "b": torch.zeros((), dtype=dtype)}
    broadcast = Broadcast(dense, {"e": torch.zeros(8, 3, dtype=dtype)}, {"f": torch.zeros(8, 9)}, torch.arange(8))
    assert broadcast.num_bytes() == 4 * (4 + 1 + 24)
