"""``GradientUpload``: gradients of the steps add up at parameters that do not move."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from fedrec.client.gradient_upload import GradientUpload
from fedrec.client.part import Part
from fedrec.models.linear import as_dense
from tests.client.uploading import buckets_of, drawn_gradient, of_client, sent, table_of

EXACT = {"rtol": 1e-10, "atol": 1e-12}


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    batch=st.none() | st.integers(1, 4),
    uploads=st.sampled_from(["summed", "per_client"]),
    seed=st.integers(0, 99),
)
def test_gradients_of_the_steps_add_up_at_the_same_point(
    sizes: list[int], batch: int | None, uploads: Any, seed: int
) -> None:
    (origin, received), (bucket,) = sent(), buckets_of(sizes, batch, seed)
    side = GradientUpload().begin(origin, bucket, uploads)
    totals = [{name: torch.zeros_like(value) for name, value in received.items()} for _ in sizes]
    for number, step in enumerate(bucket.steps):
        now = side.values(step)
        assert torch.equal(now.rows["e"], received["e"][bucket.step_items(step)])
        assert all(now.dense[name] is value for name, value in origin.dense.items())
        gradient = drawn_gradient(step, 10 * number)
        for b, total in enumerate(totals):
            for name, value in of_client(gradient, bucket, step, b).items():
                total[name] += value
        if uploads == "summed":
            gradient = Part({name: as_dense(value).sum(0) for name, value in gradient.dense.items()}, gradient.rows)
        side.take(gradient, step, number)
    upload = side.upload()
    assert upload.per_client == (uploads == "per_client")
    assert upload.clients is bucket.clients
    for name in ("w", "b"):
        expected = torch.stack([total[name] for total in totals])
        assert_close(upload.dense[name], expected.sum(0) if uploads == "summed" else expected, **EXACT)
    for b, total in enumerate(totals):
        assert_close(table_of(upload.rows["e"], bucket, b), total["e"], **EXACT)
    assert side.copy() is None  # nothing moved, so that there is nothing to keep
