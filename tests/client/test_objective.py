"""The loss of a step and its gradients, whole and in slices."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import softplus
from torch.testing import assert_close

from fedrec.client.objective import Objective
from fedrec.client.part import Gradients, Point, Values
from fedrec.client.plan import Step
from fedrec.models import NCF, PFedRec
from fedrec.models.linear import as_dense
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
    return Point(Values(dict(dense), rows), Values(dict(private), {}), features), Step(None, weight, target, None)


def dense_of(gradients: Gradients) -> dict[str, torch.Tensor]:
    """All gradients by name, and the logits."""
    dense = {**gradients.shared.dense, **gradients.private.dense}
    rows = gradients.shared.rows | gradients.private.rows
    return {name: as_dense(gradient) for name, gradient in dense.items()} | rows | {"logits": gradients.logits}


@pytest.mark.parametrize("recommender", [NCF(3, 2), PFedRec(3)])
def test_loss_and_gradients_are_autograds(recommender: Recommender) -> None:
    point, step = problem(recommender, 3)
    objective = Objective(recommender, step, 100)
    found = dense_of(objective(point, "summed", private=True))
    shared, private = point.shared, point.private
    leaves = {n: v.clone().requires_grad_() for n, v in {**shared.dense, **shared.rows, **private.dense}.items()}  # type: ignore[union-attr]
    logits = recommender.forward(
        {n: leaves[n] for n in (*shared.dense, *shared.rows)}, {n: leaves[n] for n in private.dense}
    )
    loss = (step.weight * softplus(logits) - step.target * logits).sum(1)
    assert_close(objective.loss(found["logits"]), loss.detach())
    assert_close(found.pop("logits"), logits.detach())
    expected = dict(zip(leaves, torch.autograd.grad(loss.sum(), list(leaves.values())), strict=True))
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert_close(found[name], value, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("recommender", [NCF(16, 2), PFedRec(3)])  # NCF(16): gradients of slices come in factors
@pytest.mark.parametrize("max_entries", [1, 2, 4, 5, 6])
@pytest.mark.parametrize(
    ("uploads", "private"), [("summed", True), ("per_client", True), ("per_client", False), (None, True)]
)
def test_slices_of_one_client_add_up(recommender: Recommender, max_entries: int, uploads: Any, private: bool) -> None:
    point, step = problem(recommender, 1)
    whole = dense_of(Objective(recommender, step, 100)(point, uploads, private))
    sliced = dense_of(Objective(recommender, step, max_entries)(point, uploads, private))
    assert set(sliced) == set(whole)
    for name, value in whole.items():
        assert_close(sliced[name], value, rtol=1e-10, atol=1e-12)
