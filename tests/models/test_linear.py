"""Layers with weights per client, shifted weights, and gradients kept as factors."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from fedrec.models.linear import (
    OuterProducts,
    ShiftedWeight,
    linear,
    linear_transposed,
    summed_weight_gradient,
    weight_gradient,
)
from tests.small import normal

SIZES = st.integers(1, 6)


@settings(max_examples=25, deadline=None)
@given(clients=SIZES, rows=SIZES, outputs=SIZES, inputs=SIZES, seed=st.integers(0, 99))
def test_factors_are_the_sum_of_outer_products(clients: int, rows: int, outputs: int, inputs: int, seed: int) -> None:
    left, right = normal(seed, clients, rows, outputs), normal(seed + 1, clients, rows, inputs)
    factors = OuterProducts(left, right)
    expected = torch.stack([sum(torch.outer(left[b, r], right[b, r]) for r in range(rows)) for b in range(clients)])
    assert_close(factors.dense(), expected)
    assert_close(factors.norm(), expected.square().sum((1, 2)).sqrt())
    factor = normal(seed + 2, clients)
    assert_close(factors.scaled(factor).dense(), factor[:, None, None] * expected)
    assert_close(summed_weight_gradient(left, right), expected.sum(0))
    found = weight_gradient(left, right)
    assert_close(found.dense() if isinstance(found, OuterProducts) else found, expected)


def test_norm_of_factors_that_cancel_is_a_number() -> None:
    # l r^T - l (1 + 1e-7) r^T is 0 but for one rounding; its Gram matrices' sum comes out as 0 +- 1e-7 |l|^2 |r|^2.
    left, right = normal(0, 500, 1, 8, dtype=torch.float32), normal(1, 500, 1, 8, dtype=torch.float32)
    norm = OuterProducts(torch.cat([left, -left * (1 + 1e-7)], 1), torch.cat([right, right], 1)).norm()
    assert (norm >= 0).all()


def test_gradients_are_kept_in_the_cheaper_form() -> None:
    # In factors while twice rows * (out + in) numbers are fewer than out * in: 2 * 4 * 64 < 1024 < 2 * 8 * 64.
    assert isinstance(weight_gradient(normal(0, 2, 4, 32), normal(1, 2, 4, 32)), OuterProducts)
    assert not isinstance(weight_gradient(normal(0, 2, 8, 32), normal(1, 2, 8, 32)), OuterProducts)


@pytest.mark.parametrize("own", [False, True])
def test_shifted_weight_equals_the_dense_one_in_both_directions(own: bool) -> None:
    clients, rows, outputs, inputs = 3, 4, 5, 2
    weight = normal(0, clients, outputs, inputs) if own else normal(0, outputs, inputs)
    shift = OuterProducts(normal(1, clients, 2, outputs), normal(2, clients, 2, inputs))
    dense = weight + shift.dense()
    x, y, bias = normal(3, clients, rows, inputs), normal(4, clients, rows, outputs), normal(5, clients, outputs)
    for b in (None, bias, bias[0]):
        assert_close(linear(x, ShiftedWeight(weight, shift), b), linear(x, dense, b))
    assert_close(linear_transposed(y, ShiftedWeight(weight, shift)), linear_transposed(y, dense))


@pytest.mark.parametrize("bias", ["none", "one", "own"])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("batch", [1, 3])
def test_layer_equals_one_client_after_another(own: bool, bias: str, batch: int) -> None:
    clients, rows, outputs, inputs = 3, 4, 5, 2
    x = normal(0, batch, rows, inputs)
    weight = normal(1, clients, outputs, inputs) if own else normal(1, outputs, inputs)
    offset = {"none": None, "one": normal(2, outputs), "own": normal(2, clients, outputs)}[bias]
    found = linear(x, weight, offset)
    for b in range(len(found)):
        expected = x[min(b, batch - 1)] @ (weight[b] if own else weight).T
        if offset is not None:
            expected = expected + (offset[b] if bias == "own" else offset)
        assert_close(found[b], expected)
    assert len(found) == (clients if own or bias == "own" else batch)


@pytest.mark.parametrize("own", [False, True])
def test_pulling_back_is_the_transpose(own: bool) -> None:
    # <linear(x), y> = <x, linear_transposed(y)>, per client
    x, y = normal(0, 3, 4, 2), normal(1, 3, 4, 5)
    weight = normal(2, 3, 5, 2) if own else normal(2, 5, 2)
    forth = (linear(x, weight) * y).sum((1, 2))
    assert_close(forth, (x * linear_transposed(y, weight)).sum((1, 2)))
