"""Item-kNN against a loop over items."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fedrec.errors import InputError
from fedrec.server.item_knn import ItemKNNServer, item_knn
from tests.server.gram import ITEMS, LISTS, dense, summed


def loop(x: Tensor, k: int, shrinkage: float) -> Tensor:
    """Weights, one pair of items after another."""
    weights = torch.zeros(ITEMS, ITEMS, dtype=torch.float64)
    for i in range(ITEMS):
        near = {}
        for h in range(ITEMS):
            both = float((x[:, h] * x[:, i]).sum())
            if h != i and both:
                near[h] = both / (math.sqrt(float(x[:, h].sum() * x[:, i].sum())) + shrinkage)
        # Items that are as near as the k-th are neighbours too; what is nearer by rounding alone is as near.
        least = sorted(near.values(), reverse=True)[:k][-1:]
        for h, value in near.items():
            if value >= least[0] * (1 - 1e-12):
                weights[h, i] = value
    return weights


@given(lists=LISTS, k=st.integers(1, 9), shrinkage=st.sampled_from([0.0, 0.7, 10.0]))
def test_weights_are_those_of_the_loop(lists: list[set[int]], k: int, shrinkage: float) -> None:
    weights = summed(lists)
    item_knn(weights, k, shrinkage)
    torch.testing.assert_close(weights, loop(dense(lists), k, shrinkage), rtol=1e-12, atol=0)


@given(lists=LISTS, seed=st.integers(0, 99))
def test_the_order_of_users_makes_no_difference(lists: list[set[int]], seed: int) -> None:
    shuffled = [lists[u] for u in np.random.default_rng(seed).permutation(len(lists))]
    first, other = summed(lists, torch.float32), summed(shuffled, torch.float32)
    for gram in (first, other):
        item_knn(gram, 2, 1.0)
    assert torch.equal(first, other)


def test_some_items_at_a_time_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = [{0, 3, 7}, {3, 4}, {1, 3, 7}]
    whole, parts = summed(lists), summed(lists)
    item_knn(whole, 2, 0.0)
    monkeypatch.setattr("fedrec.server.item_knn.BLOCK", 3 * ITEMS)
    item_knn(parts, 2, 0.0)
    assert torch.equal(parts, whole)


@pytest.mark.parametrize(
    ("k", "shrinkage", "said"),
    [
        (0, 1.0, "model.server.k=0: expected at least 1 neighbour"),
        (3, -0.5, "model.server.shrinkage=-0.5: expected a finite number of at least 0"),
        (3, float("nan"), "model.server.shrinkage=nan: expected a finite number of at least 0"),
    ],
)
def test_numbers_out_of_range_are_refused(k: int, shrinkage: float, said: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(said)}$"):
        ItemKNNServer(k, shrinkage)
