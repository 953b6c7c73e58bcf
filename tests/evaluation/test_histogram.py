"""A histogram of ranks: its means are those over everything, however it is cut."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrec.evaluation.histogram import RankHistogram
from fedrec.evaluation.measures import CUTOFFS


@settings(max_examples=30, deadline=None)
@given(batches=st.lists(st.lists(st.integers(1, 60), max_size=5), min_size=1, max_size=5).filter(any))
def test_means_do_not_depend_on_the_batches(batches: list[list[int]]) -> None:
    metrics = RankHistogram()
    for batch in batches:
        metrics.update(torch.tensor(batch, dtype=torch.int64))
    found = {name: float(value) for name, value in metrics.compute().items()}
    everything = [rank for batch in batches for rank in batch]
    users = len(everything)
    expected = {}
    for k in CUTOFFS:
        expected[f"hr_{k}"] = sum(rank <= k for rank in everything) / users
        expected[f"ndcg_{k}"] = sum(1 / math.log2(rank + 1) for rank in everything if rank <= k) / users
        expected[f"mrr_{k}"] = sum(1 / rank for rank in everything if rank <= k) / users
    assert found == pytest.approx(expected, abs=1e-12)


def test_names_are_the_public_ones() -> None:
    metrics = RankHistogram()
    metrics.update(torch.tensor([1]))
    assert set(metrics.compute()) == {f"{name}_{k}" for name in ("hr", "ndcg", "mrr") for k in (5, 10, 15, 20)}
    small = RankHistogram((1, 3))
    small.update(torch.tensor([2, 1]))
    assert {name: float(value) for name, value in small.compute().items()} == pytest.approx(
        {"hr_1": 0.5, "hr_3": 1, "ndcg_1": 0.5, "ndcg_3": (1 + 1 / math.log2(3)) / 2, "mrr_1": 0.5, "mrr_3": 0.75}
    )


def test_reset_forgets() -> None:
    metrics = RankHistogram()
    metrics.update(torch.tensor([1, 1, 1]))
    metrics.reset()
    metrics.update(torch.tensor([50]))
    assert float(metrics.compute()["hr_10"]) == 0


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
def test_nobody_has_no_mean() -> None:
    assert all(math.isnan(value) for value in RankHistogram().compute().values())
