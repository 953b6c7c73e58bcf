"""GSAM on a quadratic loss with two curvatures, where the two gradients are not parallel."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from fedrec.client.components import across, inner
from fedrec.client.gsam import GSAM
from fedrec.client.part import Part
from fedrec.client.sam import Radii
from fedrec.errors import InputError
from fedrec.models.linear import OuterProducts, as_dense
from tests.client.test_sam import EXACT, A, Quadratic, asked, both, gradients_at, start, vectors
from tests.small import normal

C = 0.4


def two_gradients(rho: float) -> tuple[Tensor, Tensor]:
    """The shared gradient of the first client at the point and at the moved point."""
    point = start()
    shared, _ = gradients_at(point)
    shared["e"] = shared["e"] * C / A
    first = both(shared)[0]
    curvature = torch.tensor([A] * 3 + [C] * 8, dtype=torch.float64)
    return first, first + curvature * rho * first / first.norm()


@pytest.mark.parametrize("uploads", ["per_client", "summed"])
def test_the_orthogonal_component_of_the_first_gradient_is_taken_off(uploads: str) -> None:
    point, quadratic = start(), Quadratic(C)
    found = GSAM(0.7).gradients(asked(quadratic, point, Radii(0.3, 0.1), uploads))  # type: ignore[arg-type]
    g, g_p = two_gradients(0.3)
    aside = g - (g @ g_p) / (g_p @ g_p) * g_p
    assert float(aside.norm()) > 0.01
    part = found.for_shared.shared
    used = both({"w": part.dense["w"].expand(2, -1), "e": part.rows["e"]})[0]  # type: ignore[union-attr]
    assert_close(used, g_p - 0.7 * aside, **EXACT)  # the second client's gradient is 0, so that sums are the first's
    # Its private gradients are parallel: the curvature is the same in all directions.
    there = quadratic.points[1].private.dense["u"]
    assert_close(vectors(quadratic.points[1])[1], there, **EXACT)
    assert len(quadratic.points) == 3


def test_components_of_gradients_in_any_form() -> None:
    factors = OuterProducts(normal(0, 2, 3, 4), normal(1, 2, 3, 5))
    one = Part({"w": factors, "b": normal(2, 2)}, {"e": normal(3, 2, 6, 2)})
    other = Part({"w": normal(4, 2, 4, 5), "b": normal(5, 2)}, {"e": normal(6, 2, 6, 2)})

    def flat(part: Part) -> Tensor:
        return torch.cat([as_dense(v).reshape(2, -1) for v in (*part.dense.values(), *part.rows.values())], 1)

    products, squares = (flat(one) * flat(other)).sum(1), flat(other).square().sum(1)
    assert_close(inner(one, other), products, **EXACT)
    assert_close(flat(across(one, other)), flat(one) - (products / squares)[:, None] * flat(other), **EXACT)
    assert float(inner(Part({}, {}), Part({}, {}))) == 0


@pytest.mark.parametrize("alpha", [-0.1, float("nan"), float("inf")])
def test_an_alpha_out_of_range_is_refused(alpha: float) -> None:
    with pytest.raises(InputError, match=f"alpha={alpha}"):
        GSAM(alpha)
