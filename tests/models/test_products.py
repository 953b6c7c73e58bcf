"""Products whose factors are rounded: against products of rounded factors, whatever shape they come in."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fedrec.models.linear import OuterProducts, ShiftedWeight, dot, linear, linear_transposed, weight_gradient
from fedrec.models.products import ROUNDING, added_product, bfloat16_products, product, rounded
from tests.pretended import DEVICE, Device
from tests.small import normal

SHAPES = [((4, 5), (5, 6)), ((3, 4, 5), (3, 5, 6)), ((3, 4, 5), (5, 6)), ((1, 4, 5), (3, 5, 6)), ((3, 4, 5), (1, 5, 6))]


def factors(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    return normal(1, *left), normal(2, *right)


def short(value: Tensor) -> Tensor:
    """Rounded to 8 significant bits by arithmetic: to the nearest, halves to even."""
    mantissa, exponent = torch.frexp(value)
    return torch.ldexp(torch.round(mantissa * 2**8), exponent - 8)


@pytest.mark.parametrize(("left", "right"), SHAPES)
def test_factors_are_rounded_and_nothing_else(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    one, other = factors(left, right)
    assert torch.equal(product(one, other), one @ other)
    with bfloat16_products():
        found, value = product(one, other), rounded(one)
    assert torch.equal(value, short(one))
    assert bool(((value - one).abs() <= ROUNDING * one.abs()).all())
    torch.testing.assert_close(found, short(one) @ short(other), rtol=1e-13, atol=1e-13)
    assert torch.equal(product(one, other), one @ other)  # it is over


@pytest.mark.parametrize(("left", "right"), SHAPES)
def test_so_are_those_of_the_gradients(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    one, other = (value.requires_grad_() for value in factors(left, right))
    with bfloat16_products():
        found = product(one, other)
    down = normal(3, *found.shape)
    first, second = torch.autograd.grad(found, (one, other), down)
    expected = short(down) @ short(other.detach()).mT, short(one.detach()).mT @ short(down)
    torch.testing.assert_close(first, expected[0].sum_to_size(one.shape), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(second, expected[1].sum_to_size(other.shape), rtol=1e-13, atol=1e-13)


def test_what_is_added_is_not_rounded() -> None:
    rows, vectors, plus = normal(1, 3, 4, 5), normal(2, 3, 5), 1e6 + normal(3, 3, 1)
    with bfloat16_products():
        found = dot(rows, vectors, plus)
        one = dot(rows[:1], vectors, plus)
        layer = linear(rows, normal(4, 6, 5), normal(5, 6) * 1e6)
        both = added_product(plus, short(vectors), short(rows[0].mT))
    exact = (short(rows) @ short(vectors)[..., None])[..., 0]
    torch.testing.assert_close(found - plus, exact, rtol=0, atol=1e-8)
    assert torch.equal(one, both)
    torch.testing.assert_close(layer - normal(5, 6) * 1e6, short(rows) @ short(normal(4, 6, 5)).mT, rtol=0, atol=1e-8)


@pytest.mark.parametrize("rows", [1, 40])
def test_a_gradient_is_the_same_in_factors_and_as_a_matrix(rows: int) -> None:
    left, right = normal(1, 3, rows, 8), normal(2, 3, rows, 6)
    with bfloat16_products():
        found = weight_gradient(left, right)
    assert isinstance(found, OuterProducts) == (rows == 1)
    value = found.dense() if isinstance(found, OuterProducts) else found
    torch.testing.assert_close(value, short(left).mT @ short(right), rtol=1e-13, atol=1e-13)


def test_a_shifted_weight_is_rounded_by_its_parts() -> None:
    x, weight = (
        normal(1, 3, 4, 5),
        ShiftedWeight(normal(2, 6, 5), OuterProducts(normal(3, 3, 2, 6), normal(4, 3, 2, 5))),
    )
    shift = weight.shift
    with bfloat16_products():
        there = linear(x, weight)
        back = linear_transposed(there, weight)
    expected = short(x) @ short(weight.weight).mT + short(short(x) @ short(shift.right).mT) @ short(shift.left)
    torch.testing.assert_close(there, expected, rtol=1e-13, atol=1e-13)
    expected = short(there) @ short(weight.weight) + short(short(there) @ short(shift.left).mT) @ short(shift.right)
    torch.testing.assert_close(back, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("left", "right"), SHAPES)
def test_a_device_multiplies_the_short_numbers_themselves(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    one, other = (value.float() for value in factors(left, right))
    with Device() as device, bfloat16_products():
        found = product(one.to(DEVICE), other.to(DEVICE))
        device.waits.clear()
        assert found.dtype == torch.float32
        there = found.cpu()
    with bfloat16_products():
        assert torch.equal(there, product(one, other))
