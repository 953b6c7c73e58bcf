"""Products of matrices in a score and its gradient: of float32 numbers, or of numbers rounded to bfloat16 first.

Rounded are the two factors of a product, to bfloat16's 8 significant bits (a relative error of at most 2^-8 each).
Their products are exact in float32, and are added up in float32; so is what is added to them. Everything else of a
round, parameters, losses, norms and sums over clients, never sees a number of 8 bits. On a GPU that is what tensor
cores do; on a CPU the rounded factors are multiplied as float32 numbers, which gives the same result and saves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

ROUNDING = 2.0**-8  # the largest relative error of a number rounded to bfloat16
_rounds: ContextVar[bool] = ContextVar("rounds", default=False)


@contextmanager
def bfloat16_products() -> Iterator[None]:
    """While it lasts, factors of products are rounded to bfloat16."""
    before = _rounds.set(True)
    try:
        yield
    finally:
        _rounds.reset(before)


def rounds() -> bool:
    """Whether factors are rounded now."""
    return _rounds.get()


def rounded(value: Tensor) -> Tensor:
    """The value as a factor of products is taken: itself, or rounded, in its own dtype."""
    return value.bfloat16().to(value.dtype) if rounds() else value


def product(left: Tensor, right: Tensor) -> Tensor:
    """``[..., N, K]`` times ``[..., K, M]``; matrices that are the same for all clients have no client axis, or 1."""
    batched = left.dim() == right.dim() == 3 and len(left) == len(right)
    if not rounds():
        return torch.bmm(left, right) if batched else left @ right
    if batched or left.dim() == right.dim() == 2:
        return _times(left, right)
    if right.dim() == 2:
        return _times(left.flatten(0, 1), right).view(*left.shape[:2], -1)
    clients = max(len(left), len(right))
    return _times(left.expand(clients, -1, -1), right.expand(clients, -1, -1))


def added_product(plus: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """``plus`` and the product, in one pass where nothing is rounded; both factors ``[B, ...]``, or both matrices."""
    if rounds():
        return product(left, right).add_(plus)
    return torch.addmm(plus, left, right) if left.dim() == 2 else torch.baddbmm(plus, left, right)


def _times(left: Tensor, right: Tensor) -> Tensor:
    made: Tensor = _RoundedProduct.apply(left, right)  # type: ignore[no-untyped-call]
    return made


class _RoundedProduct(torch.autograd.Function):
    """A product of rounded factors whose gradients are products of rounded factors."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor) -> Tensor:
        """Both of two dimensions, or both of three."""
        factors = left.bfloat16(), right.bfloat16()
        ctx.save_for_backward(*factors)
        ctx.dtype = left.dtype
        return _multiplied(*factors, left.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Of either factor."""
        (left, right), gradient = ctx.saved_tensors, gradients[0].bfloat16()
        return _multiplied(gradient, right.mT, ctx.dtype), _multiplied(left.mT, gradient, ctx.dtype)


def _multiplied(left: Tensor, right: Tensor, dtype: torch.dtype) -> Tensor:
    """The product of bfloat16 tensors, added up in float32 or better."""
    if left.device.type == "cpu":  # which has no product of bfloat16 numbers with a result in float32
        return left.to(dtype) @ right.to(dtype)
    multiply = torch.bmm if left.dim() == 3 else torch.mm
    return multiply(left, right, out_dtype=torch.float32).to(dtype)  # type: ignore[call-overload,no-any-return]
