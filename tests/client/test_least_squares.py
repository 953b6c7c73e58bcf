"""Least squares over all items: the solution is where autograd's gradient vanishes, the gradient is autograd's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from fedrec.client.least_squares import LeastSquares
from tests.small import generator, normal

ITEMS, D, CLIENTS = 9, 3, 4
EXACT = {"rtol": 1e-10, "atol": 1e-12}


def problem(width: int = 5, **changed: Any) -> LeastSquares:
    """Clients with up to five items; some they have several times, some are none of their own."""
    items = torch.stack([torch.randperm(ITEMS, generator=generator(c))[:5] for c in range(CLIENTS)])
    counts = torch.tensor([[1, 2, 0, 1, 3], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0], [2, 1, 1, 0, 0]]).double()
    table = normal(0, ITEMS, D)
    return replace(LeastSquares(table, table.mT @ table, items, counts, width, alpha=1.5, lam=0.4), **changed)


def objective(of: LeastSquares, table: Tensor, users: Tensor) -> Tensor:
    """What the module's text says, with a weight for every item of every client, ``[B]``."""
    rated = torch.zeros(len(users), len(table), dtype=torch.float64).scatter_add_(1, of.items, of.counts)
    errors = ((rated > 0).double() - users @ table.mT).square()
    return ((1 + of.alpha * rated) * errors).sum(1) + of.lam * users.square().sum(1)


@pytest.mark.parametrize("width", [1, 2, 5])
def test_the_solution_is_where_the_gradient_vanishes(width: int) -> None:
    of = problem(width)
    users = of.solution().requires_grad_()
    value = objective(of, of.table, users)
    (gradient,) = torch.autograd.grad(value.sum(), users)
    assert gradient.abs().max() < 1e-10
    assert_close(of.loss(users.detach()), value.detach(), **EXACT)
    assert torch.equal(users[2], torch.zeros(D, dtype=torch.float64)), "a client without items prefers nothing"


@pytest.mark.parametrize("width", [1, 2, 5])
def test_gradients_of_all_items_are_autograds(width: int) -> None:
    of, users = problem(width), normal(1, CLIENTS, D)
    table = of.table.clone().requires_grad_()
    expected = [torch.autograd.grad(objective(of, table, users)[b], table)[0] for b in range(CLIENTS)]
    assert_close(of.gradient(users, "per_client"), torch.stack(expected), **EXACT)
    assert_close(of.gradient(users, "summed"), torch.stack(expected).sum(0), **EXACT)
    chosen = torch.tensor([True, False, False, True])
    assert_close(of.only(chosen).gradient(users[chosen], "summed"), expected[0] + expected[3], **EXACT)


def test_a_gradient_is_bounded_where_each_of_its_numbers_is_finite() -> None:
    of = problem()
    users = normal(1, CLIENTS, D) * torch.tensor([1.0, 1e160, 1e150, float("nan")], dtype=torch.float64)[:, None]
    finite = of.gradient(users, "per_client").flatten(1).isfinite().all(1)
    assert finite.tolist() == [True, False, True, False]
    assert of.bounded(users).tolist() == finite.tolist()
    # A correction alone overflows: the weight of an interaction is that large, the inner product is not 1.
    large = problem(alpha=1e300)
    users = normal(1, CLIENTS, D) * 1e8
    assert large.bounded(users).tolist() == [False, False, True, False]
    assert large.gradient(users, "per_client").flatten(1).isfinite().all(1).tolist() == [False, False, True, False]


def test_a_matrix_without_a_factor_has_no_solution() -> None:
    of = problem(gram=torch.full((D, D), float("nan"), dtype=torch.float64))
    assert of.solution().isnan().all()


def test_operations_grow_with_a_clients_own_items() -> None:
    one, more = problem().operations()[:2].tolist()
    assert (one, more) == (2 * (ITEMS + 4) * D**2 + 4 * ITEMS * D + 9, 2 * (ITEMS + 1) * D**2 + 4 * ITEMS * D + 9)
