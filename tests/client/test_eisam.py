"""Row-wise radii: every item by its own norm, and scaled by its frequency."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from fedrec.client.eisam import ByFrequency, RowWise
from fedrec.client.fedscam import ByExamples
from fedrec.client.part import Part, Values
from fedrec.client.sam import Joint, Radii, Separate
from fedrec.errors import InputError
from fedrec.exchange import OneTable
from tests.client.test_sam import EXACT, STEP, A, Quadratic, asked, gradients_at, start, vectors
from tests.small import normal

FREQUENCY = torch.tensor([0.5, 2.0, 1.0, 0.25], dtype=torch.float64)
WITH_FREQUENCY = replace(
    STEP,
    origin=replace(
        STEP.origin, broadcast=replace(STEP.origin.broadcast, extras={"row_frequency": OneTable(FREQUENCY[:, None])})
    ),
)


def test_an_item_has_one_norm_over_its_rows_in_all_tables() -> None:
    gradient = Part({"w": normal(0, 2, 4), "b": normal(1, 2)}, {"e": normal(2, 2, 6, 3), "f": normal(3, 2, 6, 1)})
    gradient.rows["e"][1, 4:] = gradient.rows["f"][1, 4:] = 0  # padding
    found = RowWise()(Values({}, {}), gradient)
    assert_close(found.row_norm, torch.cat(list(gradient.rows.values()), 2).norm(dim=2), **EXACT)
    assert_close(found.dense_norm, torch.cat([normal(0, 2, 4), normal(1, 2)[:, None]], 1).norm(dim=1), **EXACT)


def test_every_row_and_the_dense_parameters_move_by_rho() -> None:
    point, quadratic = start(), Quadratic()
    shared, _ = gradients_at(point)
    found = Separate(RowWise()).gradients(asked(quadratic, point, Radii(0.3, 0.0)))
    moved = quadratic.points[1].shared
    assert_close(
        (moved.rows["e"] - point.shared.rows["e"])[0].norm(dim=1), torch.full((4,), 0.3, dtype=torch.float64), **EXACT
    )
    assert_close((vectors(quadratic.points[1])[0] - vectors(point)[0])[0, :3].norm().item(), 0.3, **EXACT)
    rows = shared["e"][0]
    expected = rows + A * 0.3 * rows / rows.norm(dim=1, keepdim=True)
    assert_close(found.for_shared.shared.rows["e"][0], expected, **EXACT)
    assert not found.for_shared.shared.rows["e"][1].any()  # a row without a gradient stays


def test_joint_takes_one_norm_over_both_sides_of_every_item() -> None:
    point, quadratic = start(), Quadratic()
    shared, private = gradients_at(point)
    Joint(RowWise()).gradients(asked(quadratic, point, Radii(0.3, 0.2)))
    moved = quadratic.points[1]
    n = torch.cat([shared["w"][0], private["u"][0]]).norm()
    assert_close((vectors(moved)[1] - vectors(point)[1])[0], 0.2 * private["u"][0] / n, **EXACT)
    rows = shared["e"][0]  # there are no private rows
    assert_close((moved.shared.rows["e"] - point.shared.rows["e"])[0], 0.3 * rows / rows.norm(dim=1)[:, None], **EXACT)


@pytest.mark.parametrize("exponent", [0.5, -1.0])
@pytest.mark.parametrize("ascent", [RowWise(), None])
def test_frequency_scales_the_radius_of_every_row_alone(exponent: float, ascent: RowWise | None) -> None:
    point = start()
    plain, scaled = Quadratic(), Quadratic()
    Separate(ascent).gradients(asked(plain, point, Radii(0.3, 0.0)))
    request = replace(asked(scaled, point, Radii(0.3, 0.0)), context=WITH_FREQUENCY)
    Separate(ascent, [ByFrequency(exponent)]).gradients(request)
    moves = [(vectors(quadratic.points[1])[0] - vectors(point)[0])[0] for quadratic in (plain, scaled)]
    assert_close(moves[1][:3], moves[0][:3], **EXACT)
    assert_close(moves[1][3:].view(4, 2), moves[0][3:].view(4, 2) * FREQUENCY[:, None] ** -exponent, **EXACT)


def test_scales_multiply() -> None:
    point, quadratic, plain = start(), Quadratic(), Quadratic()
    Separate().gradients(asked(plain, point, Radii(0.3, 0.0)))
    request = replace(asked(quadratic, point, Radii(0.3, 0.0)), context=WITH_FREQUENCY)
    Separate(scales=[ByFrequency(1.0), ByExamples(0.5)]).gradients(request)
    moves = [(q.points[1].shared.rows["e"] - point.shared.rows["e"])[0] for q in (plain, quadratic)]
    assert_close(moves[1], moves[0] / FREQUENCY[:, None] / 4**0.5, **EXACT)  # each client has four examples


@pytest.mark.parametrize("exponent", [float("nan"), float("inf")])
def test_an_exponent_out_of_range_is_refused(exponent: float) -> None:
    with pytest.raises(InputError, match=f"ByFrequency.exponent={exponent}"):
        ByFrequency(exponent)
