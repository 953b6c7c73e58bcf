"""Optimisers of many clients against torch's own, one client after another."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from fedrec.client.optimizer import OptimizerState, step
from tests.small import normal

SHAPES = {"vector": (3,), "matrix": (2, 2), "number": ()}


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(["adam", "sgd"]),
    active=st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=6),
    lr=st.sampled_from([0.001, 0.1, 1.0]),
    seed=st.integers(0, 99),
)
def test_steps_are_torchs_for_each_client(kind: Any, active: list[list[bool]], lr: float, seed: int) -> None:
    """Clients join and rest as they please; each has its own moments and step count."""
    params = {name: normal(seed + k, 3, *shape) for k, (name, shape) in enumerate(SHAPES.items())}
    state = OptimizerState.initial(kind, params, 3)
    theirs = [[value[c].clone().requires_grad_() for value in params.values()] for c in range(3)]
    optimisers = [(torch.optim.Adam if kind == "adam" else torch.optim.SGD)(own, lr=lr) for own in theirs]
    for number, now in enumerate(active):
        gradients = {n: normal(seed + 10 * number + k, *v.shape) for k, (n, v) in enumerate(params.items())}
        mask = None if all(now) else torch.tensor(now)
        params, state = step(kind, lr, params, gradients, state, mask)
        for c in range(3):
            if now[c]:
                for parameter, gradient in zip(theirs[c], gradients.values(), strict=True):
                    parameter.grad = gradient[c].clone()
                optimisers[c].step()
    for c in range(3):
        for value, parameter in zip(params.values(), theirs[c], strict=True):
            assert_close(value[c], parameter.detach(), rtol=1e-12, atol=1e-12)
    assert state.steps.tolist() == [sum(now[c] for now in active) for c in range(3)]


@pytest.mark.parametrize("kind", ["adam", "sgd"])
@pytest.mark.parametrize("gradient", [1.0, float("nan"), float("inf")])
def test_resting_clients_keep_everything(kind: Any, gradient: float) -> None:
    """Also before their first step, where Adam's bias correction would divide by zero, and whatever the gradient."""
    params = {"a": normal(0, 2, 3)}
    state = OptimizerState.initial(kind, params, 2)
    for _ in range(2):
        moved, after = step(
            kind, 0.1, params, {"a": torch.full((2, 3), gradient).double()}, state, torch.tensor([True, False])
        )
        assert torch.equal(moved["a"][1], params["a"][1])
        assert all(torch.equal(after.moments[name][1], value[1]) for name, value in state.moments.items())
        assert after.steps.tolist() == [int(state.steps[0]) + 1, 0]
        params, state = moved, after


def test_nothing_given_is_written_to() -> None:
    params = {"a": normal(0, 2, 3)}
    gradients = {"a": normal(1, 2, 3)}
    _, state = step("adam", 0.1, params, gradients, OptimizerState.initial("adam", params, 2))
    before = [value.clone() for value in (params["a"], gradients["a"], *state.moments.values(), state.steps)]
    step("adam", 0.1, params, gradients, state, torch.tensor([True, False]))
    assert all(
        torch.equal(a, b)
        for a, b in zip(before, (params["a"], gradients["a"], *state.moments.values(), state.steps), strict=True)
    )


def test_first_adam_step_has_the_length_of_the_rate() -> None:
    # Bias-corrected moments of one gradient g are g and g^2: the step is lr * g / (|g| + 1e-8).
    params = {"a": torch.zeros(1, 3, dtype=torch.float64)}
    gradient = torch.tensor([[2.0, -0.5, 0.0]], dtype=torch.float64)
    moved, _ = step("adam", 0.1, params, {"a": gradient}, OptimizerState.initial("adam", params, 1))
    assert_close(moved["a"], -0.1 * gradient / (gradient.abs() + 1e-8), rtol=1e-12, atol=1e-15)


def test_sgd_has_no_moments() -> None:
    state = OptimizerState.initial("sgd", {"a": torch.zeros(4, 2)}, 4)
    assert state.moments == {}
    assert state.steps.tolist() == [0] * 4
