"""The loss of a step and its gradients, whole and in slices; norms; points that are moved."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import softplus
from torch.testing import assert_close

from fedrec.client.objective import SMALL, Gradients, Objective, Point, norm
from fedrec.client.plan import Step
from fedrec.models import NCF, PFedRec
from fedrec.models.linear import OuterProducts
from fedrec.models.recommender import Recommender
from tests.small import generator, like, normal

ITEMS, ROWS = 9, 6


def problem(recommender: Recommender, clients: int) -> tuple[Point, Step]:
    """A random point and a random step, its last entry padding."""
    shared = like(recommender.initial_shared(ITEMS, generator(0)), 0)
    private = like(recommender.initial_private(clients, generator(0)), 50)
    items = torch.randint(ITEMS, (clients, ROWS), generator=generator(1))
    weight = normal(2, clients, ROWS).abs()
    weight[:, -1] = 0
    target = weight * torch.rand(clients, ROWS, generator=generator(3), dtype=torch.float64)
    dense = {name: shared[name] for name in recommender.dense_dims}
    rows = {name: shared[name][items] for name in recommender.item_tables}
    features = {name: table[items] for name, table in recommender.item_features(shared).items()}
    return Point(dict(dense), rows, features, private), Step(None, weight, target, None)


def dense_of(gradients: Gradients) -> dict[str, torch.Tensor]:
    found = {n: g.dense() if isinstance(g, OuterProducts) else g for n, g in gradients.dense.items()}
    return found | gradients.rows | gradients.private | {"logits": gradients.logits}


@pytest.mark.parametrize("recommender", [NCF(3, 2), PFedRec(3)])
def test_loss_and_gradients_are_autograds(recommender: Recommender) -> None:
    point, step = problem(recommender, 3)
    objective = Objective(recommender, step, 100)
    found = dense_of(objective(point, "sum", private=True))
    leaves = {n: v.clone().requires_grad_() for n, v in (point.dense | point.rows | point.private).items()}  # type: ignore[union-attr]
    logits = recommender.forward(
        {n: leaves[n] for n in (*point.dense, *point.rows)}, {n: leaves[n] for n in point.private}
    )
    loss = (step.weight * softplus(logits) - step.target * logits).sum(1)
    assert_close(objective.loss(found["logits"]), loss.detach())
    assert_close(found.pop("logits"), logits.detach())
    expected = dict(zip(leaves, torch.autograd.grad(loss.sum(), list(leaves.values())), strict=True))
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert_close(found[name], value, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("recommender", [NCF(16, 2), PFedRec(3)])  # NCF(16): gradients of slices come in factors
@pytest.mark.parametrize("max_rows", [1, 2, 4, 5, 6])
@pytest.mark.parametrize(("reduce", "private"), [("sum", True), ("each", True), ("each", False), (None, True)])
def test_slices_of_one_client_add_up(recommender: Recommender, max_rows: int, reduce: Any, private: bool) -> None:
    point, step = problem(recommender, 1)
    whole = dense_of(Objective(recommender, step, 100)(point, reduce, private))
    sliced = dense_of(Objective(recommender, step, max_rows)(point, reduce, private))
    assert set(sliced) == set(whole)
    for name, value in whole.items():
        assert_close(sliced[name], value, rtol=1e-10, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(
    sizes=st.lists(st.sampled_from([1, 3, SMALL - 1, SMALL, SMALL + 5]), min_size=1, max_size=4), factors=st.booleans()
)
def test_norm_takes_all_gradients_together(sizes: list[int], factors: bool) -> None:
    dense = [normal(k, 2, size) for k, size in enumerate(sizes)] + [normal(8, 2), normal(9, 2, 3, 4)]
    outer = [OuterProducts(normal(10, 2, 3, 4), normal(11, 2, 3, 5))] if factors else []
    expected = torch.cat([g.reshape(2, -1) for g in [*dense, *(g.dense() for g in outer)]], 1).square().sum(1).sqrt()
    assert_close(norm([*dense, *outer]), expected)


def test_a_point_moves_on_one_side_by_each_clients_own_length() -> None:
    point, step = problem(NCF(16, 2), 3)
    gradients = Objective(NCF(16, 2), step, 100)(point, "each", private=True)
    there, scale = dense_of(gradients), torch.tensor([0.0, 1.0, -2.0], dtype=torch.float64)
    there = {name: value.clone() for name, value in there.items()}
    assert any(isinstance(g, OuterProducts) for g in gradients.dense.values())
    private = point.shifted_private(gradients, scale)
    assert private.dense is point.dense
    assert private.rows is point.rows
    shared = point.shifted_shared(gradients, scale)
    assert shared.private is point.private
    assert shared.features == {}  # they belong to the parameters that were moved away from
    for name, value in {**point.dense, **point.rows, **point.private}.items():
        moved = (private.private if name in point.private else shared.dense | shared.rows)[name]
        if not isinstance(moved, torch.Tensor):
            moved = moved.weight + moved.shift.dense()
        expected = value + scale.view(-1, *(1,) * (there[name].dim() - 1)) * there[name]
        assert_close(moved, expected, rtol=1e-12, atol=1e-12)
