"""FedLESAM: one pass, against the server's last step."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from fedrec.client import LocalTraining
from fedrec.client.context import StepContext
from fedrec.client.fedlesam import FedLESAM
from fedrec.client.sam import Radii
from fedrec.errors import InputError
from fedrec.exchange import OneTable
from fedrec.models import NCF
from fedrec.server import LastUpdate, MeanServer
from tests.client.test_sam import EXACT, STEP, A, Quadratic, asked, parameters, start
from tests.small import federation, normal, random_cohort, snapshot

W, E = normal(20, 3), normal(21, 9, 2)
ITEMS = torch.tensor([[5, 2, 7, 0], [1, 2, 0, 0]])  # the second client has two, the rest is padding


def context(scale: float = 1.0) -> StepContext:
    extras = {"last_update.w": W * scale, "last_update.e": OneTable(E * scale)}
    weight = torch.tensor([[1.0, 1, 1, 1], [1, 1, 0, 0]])
    origin = replace(STEP.origin, broadcast=replace(STEP.origin.broadcast, extras=extras))
    bucket = replace(STEP.bucket, items=ITEMS)
    return StepContext(origin, bucket, replace(STEP.step, weight=weight), 0)


def test_the_point_moves_against_the_last_step_on_what_a_client_reads() -> None:
    point, quadratic = start(), Quadratic()
    found = FedLESAM().gradients(replace(asked(quadratic, point, Radii(0.3, 0.0)), context=context()))
    (moved,) = quadratic.points
    w, e, u = parameters(point)
    for client, count in ((0, 4), (1, 2)):
        rows = E[ITEMS[client, :count]]
        length = torch.cat([W, rows.flatten()]).norm()
        assert_close(parameters(moved)[0][client], w[client] - 0.3 * W / length, **EXACT)
        assert_close(moved.shared.rows["e"][client, :count], e[client, :count] - 0.3 * rows / length, **EXACT)
        assert torch.equal(moved.shared.rows["e"][client, count:], e[client, count:])
        # Both sides take their gradients there; u has not moved.
        there = parameters(moved)[0][client]
        assert_close(found.for_shared.shared.dense["w"][client], A * there + u[client], **EXACT)  # type: ignore[index]
        assert_close(found.for_private.private.dense["u"][client], 0.7 * u[client] + there, **EXACT)  # type: ignore[index]
    assert found.base is found.for_shared is found.for_private


def test_without_a_last_step_nothing_is_moved() -> None:
    point, quadratic = start(), Quadratic()
    FedLESAM().gradients(replace(asked(quadratic, point, Radii(0.3, 0.0)), context=context(0.0)))
    for here, there in zip(parameters(point), parameters(quadratic.points[0]), strict=True):
        assert torch.equal(here.expand_as(there), there)


def test_who_rests_in_a_step_is_not_moved() -> None:
    point, quadratic, here = start(), Quadratic(), context()
    weight = here.step.weight.clone()
    weight[1] = 0
    resting = replace(here, step=replace(here.step, weight=weight))
    FedLESAM().gradients(replace(asked(quadratic, point, Radii(0.3, 0.0)), context=resting))
    for before, after in zip(parameters(point), parameters(quadratic.points[0]), strict=True):
        assert torch.equal(after[1], before[1])
    assert not torch.equal(parameters(quadratic.points[0])[0][0], parameters(point)[0][0])


def test_the_first_round_is_the_plain_one_and_the_second_is_not() -> None:
    found = []
    for rho in (0.0, 0.3):
        client = LocalTraining(rho_shared=rho, perturbation=FedLESAM())
        module = federation(NCF(4, 2), client, 6, 12, MeanServer("sgd", 1.0, sends=[LastUpdate()]))
        for number in range(2):
            module.training_step(random_cohort([0, 1, 4], [9, 14, 3], 12, number=number), 0)
            found.append(snapshot(module)["server.shared.item_mlp"])
    assert_close(found[0], found[2], **EXACT)
    assert not torch.allclose(found[1], found[3], rtol=1e-4, atol=1e-6)


def test_a_radius_of_the_private_side_is_refused() -> None:
    with pytest.raises(InputError, match=r"model\.client\.rho_private=0\.1: perturbation=FedLESAM .* expected 0"):
        LocalTraining(rho_shared=0.1, rho_private=0.1, perturbation=FedLESAM())


def test_a_server_that_sends_no_last_step_is_refused() -> None:
    module = federation(NCF(4, 2), LocalTraining(rho_shared=0.1, perturbation=FedLESAM()), 6, 12)
    with pytest.raises(InputError, match=r"model\.server: sends no last_update\.\w+, which a part of model\.client"):
        module.training_step(random_cohort([0, 1], [9, 4], 12), 0)
