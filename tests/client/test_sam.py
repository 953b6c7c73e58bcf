"""Perturbations on a loss whose gradients are known everywhere, and what rho = 0 means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from fedrec.client import DeltaUpload, GradientUpload, LocalTraining
from fedrec.client.ascent import radius_scale
from fedrec.client.part import Gradients, Part, Point, Values
from fedrec.client.plan import Step
from fedrec.client.sam import Joint, Perturbation, Radii, Request, Separate
from fedrec.client.stores import TunedRows
from fedrec.exchange import OneTable
from fedrec.models import NCF, PFedRec
from fedrec.models.linear import OuterProducts
from fedrec.models.recommender import Params, Recommender, Uploads
from tests.client.steps import sent
from tests.small import federation, normal, random_cohort, snapshot

A, B = 1.5, 0.7
EXACT = {"rtol": 1e-10, "atol": 1e-12}
STEP = sent(
    Values({}, {}), Step(None, torch.ones(2, 4), torch.ones(2, 4), None)
)  # of which Separate and Joint see nothing


class Quadratic:
    """``A/2 |w|^2 + C/2 |e|^2 + B/2 |u|^2 + w . u`` per client, with w and the rows e shared and u private; C is A.

    Gradients: A w + u, C e, B u + w. It notes every point at which it is asked.
    """

    def __init__(self, of_rows: float = A) -> None:
        self.points: list[Point] = []
        self.of_rows = of_rows

    def __call__(self, point: Point, uploads: Any, private: bool) -> Gradients:
        self.points.append(point)
        w, e, u = parameters(point)
        squares = A * w.square().sum(1) + self.of_rows * e.square().sum((1, 2)) + B * u.square().sum(1)
        own = (A * w + u).expand(len(u), -1)
        shared = Part(
            {"w": own.sum(0) if uploads == "summed" else own} if uploads else {},
            {"e": self.of_rows * e} if uploads else {},
        )
        return Gradients(squares / 2 + (w * u).sum(1), shared, Part({"u": B * u + w} if private else {}, {}))


def asked(objective: Any, point: Point, radii: Radii, uploads: Uploads | None = "per_client") -> Request:
    """What a step of both sides asks of its perturbation."""
    return Request(objective, point, radii, uploads, private=True, context=STEP)


def start(scale: float = 1.0) -> Point:
    """Two clients, the second at the minimum: both its gradients are zero."""
    w, e, u = normal(0, 2, 3) * scale, normal(1, 2, 4, 2) * scale, normal(2, 2, 3) * scale
    for value in (w, e, u):
        value[1] = 0
    return Point(Values({"w": w}, {"e": e}), Values({"u": u}, {}), {})


def parameters(point: Point) -> tuple[Tensor, Tensor, Tensor]:
    """w, e and u at a point."""
    w, u = point.shared.dense["w"], point.private.dense["u"]
    assert isinstance(w, Tensor)
    assert isinstance(u, Tensor)
    return w, point.shared.rows["e"], u


def vectors(point: Point) -> tuple[Tensor, Tensor]:
    """The shared and the private side as vectors, ``[B, *]``."""
    w, e, u = parameters(point)
    return torch.cat([w, e.flatten(1)], 1), u


def gradients_at(point: Point) -> tuple[Params, Params]:
    w, e, u = parameters(point)
    return {"w": A * w + u, "e": A * e}, {"u": B * u + w}


def both(shared: Mapping[str, Any]) -> Tensor:
    return torch.cat([shared["w"], shared["e"].flatten(1)], 1)


def test_separate_perturbations_in_closed_form() -> None:
    # The Hessian's blocks are A and B times the identity, so the gradient at theta + eps is g + A eps, on the private
    # side g + B eps: neither perturbation is seen by the other side.
    point, quadratic = start(), Quadratic()
    shared, private = gradients_at(point)
    found = Separate().gradients(asked(quadratic, point, Radii(0.3, 0.05), "per_client"))
    length, private_length = both(shared)[0].norm(), private["u"][0].norm()
    assert_close(
        both({**found.for_shared.shared.dense, **found.for_shared.shared.rows})[0],
        (1 + A * 0.3 / length) * both(shared)[0],
        **EXACT,
    )
    assert_close(found.for_private.private.dense["u"][0], (1 + B * 0.05 / private_length) * private["u"][0], **EXACT)
    assert len(quadratic.points) == 3


def test_joint_perturbation_in_closed_form() -> None:
    # One norm n over both sides and one point: g_w + A rho_s g_w / n + rho_p g_u / n, and so on.
    point, quadratic = start(), Quadratic()
    shared, private = gradients_at(point)
    found = Joint().gradients(asked(quadratic, point, Radii(0.3, 0.05), "per_client"))
    n = torch.cat([both(shared)[0], private["u"][0]]).norm()
    eps_w, eps_u = 0.3 * shared["w"][0] / n, 0.05 * private["u"][0] / n
    assert_close(found.for_shared.shared.dense["w"][0], shared["w"][0] + A * eps_w + eps_u, **EXACT)  # type: ignore[index]
    assert_close(found.for_shared.shared.rows["e"][0], (1 + A * 0.3 / n) * shared["e"][0], **EXACT)
    assert_close(found.for_private.private.dense["u"][0], private["u"][0] + B * eps_u + eps_w, **EXACT)
    assert len(quadratic.points) == 2


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize(("rho_shared", "rho_private"), [(0.3, 0.05), (2.0, 0.0), (0.0, 1.0)])
def test_perturbations_have_the_length_rho(scale: float, rho_shared: float, rho_private: float) -> None:
    point, quadratic = start(scale), Quadratic()
    Separate().gradients(asked(quadratic, point, Radii(rho_shared, rho_private), "per_client"))
    here = vectors(point)
    moved = [
        [(there - at)[0].norm().item() for there, at in zip(vectors(p), here, strict=True)] for p in quadratic.points
    ]
    # rho g / (|g| + 1e-12) is shorter than rho by a part of 1e-12 / |g|, here at most 1e-6.
    expected = [
        [0.0, 0.0],
        *([[0.0, rho_private]] if rho_private else []),
        *([[rho_shared, 0.0]] if rho_shared else []),
    ]
    for found, wanted in zip(moved, expected, strict=True):
        assert found == pytest.approx(wanted, rel=2e-6, abs=1e-9)


def test_joint_perturbation_with_equal_radii_has_the_length_rho() -> None:
    point, quadratic = start(), Quadratic()
    Joint().gradients(asked(quadratic, point, Radii(0.4, 0.4), "per_client"))
    there, here = torch.cat(vectors(quadratic.points[1]), 1), torch.cat(vectors(point), 1)
    assert (there - here)[0].norm().item() == pytest.approx(0.4, rel=1e-9)


@pytest.mark.parametrize("perturbation", [Separate(), Joint()])
def test_zero_gradient_leaves_the_point(perturbation: Perturbation) -> None:
    point, quadratic = start(), Quadratic()
    found = perturbation.gradients(asked(quadratic, point, Radii(0.3, 0.3), "per_client"))
    for there in quadratic.points:
        assert all(torch.equal(a[1], b[1]) for a, b in zip(vectors(there), vectors(point), strict=True))
    assert not found.for_shared.shared.dense["w"][1].any()
    assert not found.for_private.private.dense["u"][1].any()


@pytest.mark.parametrize("perturbation", [Separate(), Joint()])
def test_no_radius_means_the_gradient_at_the_point_itself(perturbation: Perturbation) -> None:
    point, quadratic = start(), Quadratic()
    found = perturbation.gradients(asked(quadratic, point, Radii(0.0, 0.0), "summed"))
    assert found.for_shared is found.base
    assert found.for_private is found.base
    assert len(quadratic.points) == 1


@pytest.mark.parametrize("perturbation", [Separate(), Joint()])
def test_the_point_is_not_written_to(perturbation: Perturbation) -> None:
    point = start()
    before = [side.clone() for side in vectors(point)]
    perturbation.gradients(asked(Quadratic(), point, Radii(0.3, 0.3), "per_client"))
    assert all(torch.equal(a, b) for a, b in zip(vectors(point), before, strict=True))


def test_scale_of_a_gradient_that_is_not_a_number_is_not_a_number() -> None:
    norms = torch.tensor([0.0, 2.0, float("nan"), float("inf")])
    scale = radius_scale(0.5, norms)
    assert scale[:2].tolist() == pytest.approx([0.0, 0.25])
    assert scale[2].isnan()
    assert scale[3] == 0


def test_factors_that_cancel_do_not_move_a_point_away() -> None:
    # l r^T - l (1 + 1e-7) r^T: in single precision many such norms come out as 0 while the factors are of order one.
    left, right = normal(0, 500, 1, 8, dtype=torch.float32), normal(1, 500, 1, 8, dtype=torch.float32)
    factors = OuterProducts(torch.cat([left, -left * (1 + 1e-7)], 1), torch.cat([right, right], 1))
    norm = factors.norm()
    assert (norm == 0).any()
    moved = factors.scaled(radius_scale(0.05, norm)).dense()[norm == 0]
    assert not moved.any()


# ---------------------------------------------------------------------- in a whole round


def after_round(recommender: Recommender, client: LocalTraining) -> dict[str, Tensor]:
    module = federation(recommender, client, 6, 12, dtype=torch.float32)
    module.training_step(random_cohort([0, 1, 4], [9, 14, 3], 12), 0)
    return snapshot(module)


@pytest.mark.parametrize("options", [{}, {"batch_size": 4, "local_epochs": 2}])
@pytest.mark.parametrize("recommender", [NCF(8, 2), PFedRec(4)])
def test_without_a_radius_each_side_is_the_base_optimisers_bit_for_bit(recommender: Recommender, options: Any) -> None:
    """A radius of 0 on one side gives that side's plain bits; where both sides' steps mix (several steps), on both."""
    given: dict[str, Any] = {"upload": DeltaUpload(lr=0.1), "store": TunedRows(), **options}
    plain = after_round(recommender, LocalTraining(**given))
    none = after_round(recommender, LocalTraining(0.0, 0.0, perturbation=Joint(), **given))
    assert all(torch.equal(plain[name], none[name]) for name in plain)
    if options:
        return
    shared_alone = after_round(recommender, LocalTraining(0.5, 0.0, **given))
    private_alone = after_round(recommender, LocalTraining(0.0, 0.5, **given))
    for name in plain:
        side, other = (shared_alone, private_alone) if name.startswith("private.") else (private_alone, shared_alone)
        assert torch.equal(plain[name], side[name]), name
        if name not in ("private.steps", "private.kept.table_of"):
            assert not torch.equal(plain[name], other[name]), name


@pytest.mark.parametrize("upload", [GradientUpload(), DeltaUpload()])
@pytest.mark.parametrize("options", [{}, {"perturbation": Joint()}, {"order": "private_first"}, {"batch_size": 3}])
def test_local_training_restores_what_the_server_sent(upload: Any, options: Any) -> None:
    module = federation(NCF(8, 2), LocalTraining(0.5, 0.5, upload=upload, **options), 6, 12)
    drawn = random_cohort([0, 1, 4], [9, 14, 3], 12)
    broadcast = module.server.broadcast(0, drawn.clients)
    origin = module.client.receive(module.recommender, broadcast, drawn)
    tables = {name: table.weight for name, table in broadcast.tables.items() if isinstance(table, OneTable)}
    sent = {**broadcast.dense, **tables, **origin.features}
    before = {name: value.clone() for name, value in sent.items()}
    state = snapshot(module)
    for bucket in module.client.buckets(module.recommender, drawn, origin, module.budget):
        own = module.private.read(bucket.clients)
        given = {name: value.clone() for name, value in own.dense.items()}
        module.client.train(module.recommender, origin, own, bucket)
        assert all(torch.equal(own.dense[name], given[name]) for name in given)
    assert all(torch.equal(before[name], value) for name, value in sent.items())
    assert all(torch.equal(state[name], value) for name, value in snapshot(module).items())
