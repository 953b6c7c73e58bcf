"""``MovingRows``: a few rows and one scalar stand for a whole table under SGD with weight decay."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from fedrec.client.rows import MovingRows
from fedrec.errors import InputError
from tests.client.uploading import ITEMS, D, buckets_of, drawn_gradient, of_client
from tests.small import normal

EXACT = {"rtol": 1e-10, "atol": 1e-12}
SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=4)
BATCHES = st.none() | st.integers(1, 4)


@settings(max_examples=40, deadline=None)
@given(sizes=SIZES, batch=BATCHES, decay=st.sampled_from([0.0, 0.01, 0.5, 5.0, 9.9]), seed=st.integers(0, 99))
def test_rows_and_scale_are_torchs_whole_table(sizes: list[int], batch: int | None, decay: float, seed: int) -> None:
    """Also where a step takes nearly everything away."""
    (bucket,) = buckets_of(sizes, batch, seed)
    start = normal(seed, len(sizes), ITEMS, D)
    rows = MovingRows(bucket, {"e": torch.stack([start[b, bucket.items[b]] for b in range(len(sizes))])})
    tables = [table.clone().requires_grad_() for table in start]
    optimisers = [torch.optim.SGD([table], lr=0.1, weight_decay=decay) for table in tables]
    for number, step in enumerate(bucket.steps):
        gradient, at = drawn_gradient(step, 10 * number), rows.at(step)["e"]
        for b, table in enumerate(tables):
            used = step.weight[b] > 0
            assert_close(at[b][used], table.detach()[bucket.step_items(step)[b][used]], **EXACT)
            if bool(used.any()):  # a client without such a step rests
                table.grad = of_client(gradient, bucket, step, b)["e"]
                optimisers[b].step()
        rows.descend(gradient.rows, step, lambda _: 0.1, decay)
    assert (rows.scale == {}) == (decay == 0)
    for b, table in enumerate(tables):
        found, count = start[b] * (rows.scale["e"][b] if decay else 1.0), int(bucket.counts[b])
        found[bucket.items[b, :count]] = rows.values["e"][b, :count]
        assert_close(found, table.detach(), **EXACT)


@settings(max_examples=20, deadline=None)
@given(sizes=SIZES, batch=BATCHES, seed=st.integers(0, 99))
def test_gradients_of_a_step_spread_to_their_rows(sizes: list[int], batch: int | None, seed: int) -> None:
    (bucket,) = buckets_of(sizes, batch, seed)
    rows = MovingRows(bucket, {"e": normal(seed, *bucket.items.shape, D)})
    for number, step in enumerate(bucket.steps):
        gradient = drawn_gradient(step, 10 * number)
        spread = rows.spread(gradient.rows, step)["e"]
        for b in range(len(sizes)):
            expected, count = of_client(gradient, bucket, step, b)["e"], int(bucket.counts[b])
            assert_close(spread[b, :count], expected[bucket.items[b, :count]], **EXACT)


@pytest.mark.parametrize("decay", [10.0, 12.0])
def test_a_decay_that_leaves_nothing_is_refused(decay: float) -> None:
    (bucket,) = buckets_of([3], None, 0)
    rows = MovingRows(bucket, {"e": torch.ones(1, bucket.items.shape[1], 2, dtype=torch.float64)})
    gradient = {"e": torch.zeros(1, bucket.items.shape[1], 2, dtype=torch.float64)}
    with pytest.raises(InputError, match="weight_decay times the learning rate of e is 1"):
        rows.descend(gradient, bucket.steps[0], lambda _: 0.1, decay)
