"""Sharpness, on losses whose curvature is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrec.analysis.sharpness import (
    Position,
    Tensors,
    ball_sharpness,
    filter_normalised,
    landscape,
    largest_eigenvalue,
)
from fedrec.errors import InputError

CLIENTS = 3


def quadratic(shared: list[float], private: list[list[float]], side: str, at_minimum: bool = True) -> Position:
    """Mean over clients of ``sum_j s_j x_j^2 / 2 + sum_j p_cj y_cj^2 / 2``: the Hessians are diagonal."""
    s, p = torch.tensor(shared, dtype=torch.float64), torch.tensor(private, dtype=torch.float64)

    def loss(x: Tensors, y: Tensors) -> torch.Tensor:
        flat = torch.cat([x["a"].flatten(), x["b"]])
        return (s * flat**2).sum() / 2 + (p * y["u"] ** 2).sum(1).mean() / 2

    start = torch.zeros if at_minimum else torch.ones
    values = {"a": start(1, 2, dtype=torch.float64), "b": start(len(shared) - 2, dtype=torch.float64)}
    return Position(loss, values, {"u": start(p.shape, dtype=torch.float64)}, side)  # type: ignore[arg-type]


SHARED = [1.0, 5.0, 2.0]
PRIVATE = [[1.0, 3.0], [7.0, 2.0], [0.5, 0.1]]


def test_largest_eigenvalue_of_the_shared_side() -> None:
    found = largest_eigenvalue(quadratic(SHARED, PRIVATE, "shared"))
    assert found.shape == ()
    assert float(found) == pytest.approx(5, rel=1e-3)


def test_largest_eigenvalue_of_each_client() -> None:
    found = largest_eigenvalue(quadratic(SHARED, PRIVATE, "private"))
    np.testing.assert_allclose(found, [3, 7, 0.5], rtol=1e-3)


def test_a_saddle_has_its_largest_and_not_its_steepest_eigenvalue() -> None:
    position = quadratic([-9.0, 2.0, 1.0], [[-4.0, 1.0], [3.0, 1.0], [-1.0, -2.0]], "shared")
    assert float(largest_eigenvalue(position, tolerance=1e-6)) == pytest.approx(2, rel=1e-3)
    private = Position(position.loss, position.shared, position.private, "private")
    np.testing.assert_allclose(largest_eigenvalue(private, tolerance=1e-6), [1, 3, -1], rtol=1e-2)


def test_a_loss_that_is_linear_has_no_curvature() -> None:
    values = {"w": torch.ones(4)}
    position = Position(lambda x, y: x["w"].sum() + y["u"].mean(), values, {"u": torch.ones(2, 1)}, "shared")
    assert float(largest_eigenvalue(position)) == 0


@pytest.mark.parametrize(
    ("side", "expected"),
    # At the minimum a step of 0.1 along the steepest axis rises by eigenvalue * 0.01 / 2; over clients, the mean.
    [("shared", 5 * 0.005), ("private", (3 + 7 + 0.5) / 3 * 0.005)],
)
def test_ball_sharpness_at_a_minimum(side: str, expected: float) -> None:
    found = ball_sharpness(quadratic(SHARED, PRIVATE, side), 0.1, ascents=40)
    assert found == pytest.approx(expected, rel=1e-4)


def test_ball_sharpness_on_a_slope_is_at_least_the_gradient_step() -> None:
    # At (1, 1, 1) the gradient is s itself: a step of rho along it rises by rho |s| + rho^2 (s . s^2) / (2 s . s).
    s, rho = np.array(SHARED), 0.1
    step = rho * np.linalg.norm(s) + rho**2 * (s**3).sum() / (2 * (s**2).sum())
    found = ball_sharpness(quadratic(SHARED, PRIVATE, "shared", at_minimum=False), rho)
    assert step <= found <= rho * np.linalg.norm(s) + rho**2 * s.max() / 2


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.1, 10), min_size=3, max_size=5), st.floats(0.01, 1))
def test_ball_sharpness_never_exceeds_the_bound_of_a_quadratic(curvature: list[float], rho: float) -> None:
    found = ball_sharpness(quadratic(curvature, PRIVATE, "shared"), rho)
    assert 0 < found <= max(curvature) * rho**2 / 2 * (1 + 1e-9)


def test_filter_normalised_directions_are_as_long_as_the_filters() -> None:
    shared = {
        "table": torch.tensor([[3.0, 4.0], [0.0, 0.0]]),
        "bias": torch.tensor([1.0, 2.0, 2.0]),
        "one": torch.tensor(2.0),
    }
    position = Position(lambda x, y: x["one"], shared, {"u": torch.ones(2, 3)}, "shared")
    found = filter_normalised(position, seed=0, which=0)
    np.testing.assert_allclose(found["table"].norm(dim=1), [5, 0], rtol=1e-6)
    assert float(found["bias"].norm()) == pytest.approx(3)
    assert abs(float(found["one"])) == pytest.approx(2)
    again, other = filter_normalised(position, 0, 0), filter_normalised(position, 0, 1)
    assert torch.equal(again["table"], found["table"])
    assert not torch.equal(other["table"], found["table"])


@pytest.mark.parametrize("side", ["shared", "private"])
def test_landscape_of_a_quadratic(side: str) -> None:
    position = quadratic([1.0] * 3, [[1.0, 1.0]] * CLIENTS, side, at_minimum=False)
    found = landscape(position, radius=0.5, resolution=5)
    first, second = (filter_normalised(position, 0, which) for which in range(2))
    values = position.moved(first, float(found.steps[1]))
    values = {name: value + float(found.steps[4]) * second[name] for name, value in values.items()}
    assert found.loss[1, 4] == pytest.approx(float(position.at(values)))
    assert found.loss[2, 2] == pytest.approx(found.centre)
    assert found.rise[2, 2] == pytest.approx(0)
    assert found.steps.tolist() == [-0.5, -0.25, 0, 0.25, 0.5]


def test_a_plane_of_two_points_is_refused() -> None:
    with pytest.raises(InputError, match="resolution 2"):
        landscape(quadratic(SHARED, PRIVATE, "shared"), resolution=2)
