"""Penalties: ``Proximal`` in closed form, on rows and dense parameters in every form they have."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from fedrec.client import DeltaUpload, GradientUpload, LocalTraining
from fedrec.client.objective import Objective
from fedrec.client.part import Gradients, Part, Point, Values
from fedrec.client.penalties import Proximal
from fedrec.client.plan import Step
from fedrec.errors import InputError
from fedrec.models import NCF, PFedRec
from fedrec.models.linear import OuterProducts, ShiftedWeight, as_dense
from fedrec.models.recommender import Recommender
from tests.client.steps import sent
from tests.client.test_objective import dense_of, problem
from tests.reference.adapter import EachClient
from tests.small import federation, normal, random_cohort, snapshot

EXACT = {"rtol": 1e-12, "atol": 1e-12}


def test_proximal_adds_mu_times_the_distance() -> None:
    factors = OuterProducts(normal(0, 2, 3, 4), normal(1, 2, 3, 5))
    shift = OuterProducts(normal(2, 2, 1, 4), normal(3, 2, 1, 5))
    w, b, e = normal(4, 4, 5), normal(5), normal(6, 2, 3, 2)
    at = Values({"w": ShiftedWeight(normal(7, 2, 4, 5), shift), "b": normal(8, 2)}, {"e": normal(9, 2, 3, 2)})
    gradient = Part({"w": factors, "b": normal(10, 2)}, {"e": normal(11, 2, 3, 2)})
    weight = torch.tensor([[0.5, 1.0, 0.5], [1.0, 0.0, 0.0]], dtype=torch.float64)
    real = (weight > 0)[..., None]
    context = sent(Values({"w": w, "b": b}, {"e": e}), Step(None, weight, weight, None))
    nothing = Values({}, {})
    Proximal(0.7).add(Gradients(weight, gradient, Part({}, {})), Point(at, nothing, {}), context)
    found = {name: as_dense(value) for name, value in gradient.dense.items()}
    assert_close(found["w"], factors.dense() + 0.7 * (normal(7, 2, 4, 5) + shift.dense() - w), **EXACT)
    assert_close(found["b"], normal(10, 2) + 0.7 * (normal(8, 2) - b), **EXACT)
    # Padding stands for a row that is pulled in its own place.
    assert_close(gradient.rows["e"], normal(11, 2, 3, 2) + 0.7 * (at.rows["e"] - e) * real, **EXACT)


@pytest.mark.parametrize("max_entries", [100, 2])
@pytest.mark.parametrize("recommender", [NCF(16, 2), PFedRec(3)])
def test_in_an_objective_it_is_added_once_and_to_the_shared_side_alone(
    recommender: Recommender, max_entries: int
) -> None:
    point, step = problem(recommender, 1)
    dense = {name: value + 1 for name, value in point.shared.dense.items()}  # type: ignore[operator]
    start = Values(dense, {name: value + 2 for name, value in point.shared.rows.items()})
    context = sent(start, step)
    plain = dense_of(Objective(recommender, step, max_entries)(point, "per_client", private=True))
    held = Objective(recommender, step, max_entries, [Proximal(0.5), Proximal(0.25)], context)
    pulled = dense_of(held(point, "per_client", private=True))
    for name, value in plain.items():
        distance = 1.0 if name in start.dense else 2.0 * (step.weight > 0)[..., None] if name in start.rows else 0.0
        assert_close(pulled[name], value - 0.75 * distance, **EXACT)
    assert dense_of(held(point, None, private=True)).keys() == {"logits", *point.private.dense}


@pytest.mark.parametrize("upload", [DeltaUpload(lr=0.1), GradientUpload()])
@pytest.mark.parametrize("recommender", [NCF(4, 2), PFedRec(4)])
def test_no_strength_leaves_the_bits_as_they_are(recommender: Recommender, upload: Any) -> None:
    found, variants = [], ([], [Proximal(0.0)])  # type: tuple[list[Any], tuple[list[Penalty], ...]]
    for penalties in variants:
        client = LocalTraining(0.1, batch_size=3, upload=upload, penalties=penalties)
        module = federation(recommender, client, 6, 12, EachClient("sgd", 1.0), torch.float32)
        module.training_step(random_cohort([0, 1, 4], [9, 14, 3], 12), 0)
        found.append(snapshot(module))
    assert all(torch.equal(found[1][name], value) for name, value in found[0].items())


def test_a_stronger_pull_holds_copies_nearer_to_their_start() -> None:
    moved = []
    for mu in (0.0, 0.5, 5.0):
        upload = DeltaUpload(lr=0.1)
        client = LocalTraining(batch_size=2, local_epochs=5, upload=upload, penalties=[Proximal(mu)])
        module = federation(NCF(4, 2), client, 6, 12)
        module.training_step(random_cohort([0, 1, 4], [9, 14, 3], 12), 0)
        moved.append(float(module.logged["train/norm_shared"]))
    assert moved[0] > moved[1] > moved[2] > 0


@pytest.mark.parametrize("mu", [-0.1, float("nan"), float("inf")])
def test_strengths_out_of_range_are_refused(mu: float) -> None:
    with pytest.raises(InputError, match=f"Proximal.mu={mu}"):
        Proximal(mu)
