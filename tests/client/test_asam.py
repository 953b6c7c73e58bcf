"""ASAM's direction, number by number, and its perturbation of a quadratic loss."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from fedrec.client.asam import Adaptive
from fedrec.client.part import Part, Values
from fedrec.client.sam import Radii, Separate
from fedrec.errors import InputError
from fedrec.models.linear import OuterProducts, as_dense
from tests.client.test_sam import EXACT, A, Quadratic, asked, both, gradients_at, parameters, start
from tests.small import normal


def test_the_direction_is_t_squared_g_over_the_norm_of_t_g() -> None:
    # Shared weights come once for all clients, private ones and rows client by client; w's gradient in factors.
    factors = OuterProducts(normal(0, 2, 3, 4), normal(1, 2, 3, 5))
    values = Values({"w": normal(2, 4, 5), "layer_bias": normal(3, 4)}, {"e": normal(4, 2, 6, 3)})
    gradient = Part({"w": factors, "layer_bias": normal(5, 2, 4)}, {"e": normal(6, 2, 6, 3)})
    found = Adaptive(0.3)(values, gradient)
    pieces = [
        (factors.dense(), values.dense["w"].abs() + 0.3),  # type: ignore[union-attr]
        (normal(5, 2, 4), torch.ones(4, dtype=torch.float64)),  # biases as they are
        (normal(6, 2, 6, 3), values.rows["e"].abs() + 0.3),
    ]
    for name, (g, t) in zip(["w", "layer_bias", "e"], pieces, strict=True):
        assert_close(as_dense({**found.along.dense, **found.along.rows}[name]), t.square() * g, **EXACT)
    length = torch.cat([(t * g).flatten(1) for g, t in pieces], 1).norm(dim=1)
    assert_close(found.dense_norm, length, **EXACT)
    assert_close(found.row_norm, length, **EXACT)
    assert torch.equal(as_dense(gradient.dense["layer_bias"]), normal(5, 2, 4))  # dense gradients are not written to


def test_the_gradient_of_a_quadratic_loss() -> None:
    point, quadratic = start(), Quadratic()
    w, e, _ = parameters(point)
    shared, _ = gradients_at(point)
    t = {"w": w[0].abs() + 0.2, "e": e[0].abs() + 0.2}
    length = torch.cat([(t[name] * shared[name][0]).flatten() for name in ("w", "e")]).norm()
    found = Separate(Adaptive(0.2)).gradients(asked(quadratic, point, Radii(0.3, 0.0)))
    for name, value in {**found.for_shared.shared.dense, **found.for_shared.shared.rows}.items():
        expected = shared[name][0] + A * 0.3 * t[name].square() * shared[name][0] / length
        assert_close(value[0], expected, **EXACT)  # type: ignore[index]
    assert not both({**found.for_shared.shared.dense, **found.for_shared.shared.rows})[1].any()


@pytest.mark.parametrize("eta", [-0.1, float("nan"), float("inf")])
def test_an_eta_out_of_range_is_refused(eta: float) -> None:
    with pytest.raises(InputError, match=f"eta={eta}"):
        Adaptive(eta)
