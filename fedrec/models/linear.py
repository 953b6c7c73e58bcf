"""Linear layers whose weight is one for all clients, one per client, or one for all plus a low-rank part per client.

The gradient of a client's loss with respect to a weight is a sum of outer products, one per row of its batch:
``sum_s left[s] (x) right[s]`` with ``left`` the gradient at the layer's output and ``right`` its input. With R rows and
a weight of ``out x in``, keeping the factors costs ``R (out + in)`` numbers instead of ``out * in``, and a
perturbed layer applies them without ever forming the weight: ``x (w + k l^T r)^T = x w^T + k (x r^T) l``. For few
examples this is cheaper than a weight per client (the "ghost norm" identity of Goodfellow, arXiv:1510.01799, gives the
gradient's norm from two Gram matrices in the same way).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fedrec.models.products import added_product, product, rounded, rounds

# A factored gradient pays while R (out + in) * FACTORED_COST < out * in. Three products with the factors (norm,
# forward, backward) replace one with the weight and several passes over it; measured on two cores, see `make bench`.
FACTORED_COST = 2.0


@dataclass(frozen=True)
class OuterProducts:
    """Per client, a sum of R outer products: the gradient of a weight, in factors.

    Attributes:
        left: ``[B, R, out]``.
        right: ``[B, R, in]``.
    """

    left: Tensor
    right: Tensor

    def dense(self) -> Tensor:
        """The gradient as a matrix per client, ``[B, out, in]``."""
        return torch.bmm(self.left.mT, self.right)

    def norm(self) -> Tensor:
        """Frobenius norm per client, ``[B]``: the root of ``sum_st (l_s . l_t)(r_s . r_t)``.

        Products that cancel can leave less than nothing to rounding, which counts as nothing.
        """
        if self.left.shape[1] == 1:  # one outer product: the product of the norms
            norm: Tensor = self.left.flatten(1).norm(dim=1) * self.right.flatten(1).norm(dim=1)
            return norm
        left, right = torch.bmm(self.left, self.left.mT), torch.bmm(self.right, self.right.mT)
        return left.mul_(right).sum((1, 2)).clamp_(min=0).sqrt_()

    def scaled(self, factor: Tensor) -> OuterProducts:
        """The same gradient times ``factor [B]``."""
        return OuterProducts(self.left * factor[:, None, None], self.right)


@dataclass(frozen=True)
class ShiftedWeight:
    """A weight ``[out, in]`` (or one per client) plus a low-rank shift per client."""

    weight: Tensor
    shift: OuterProducts


Weight = Tensor | ShiftedWeight
Gradient = Tensor | OuterProducts


def linear(x: Tensor, weight: Weight, bias: Tensor | None = None) -> Tensor:
    """Apply a layer to rows: ``[B, S, in] -> [B, S, out]``.

    Args:
        x: ``[B, S, in]``; B or S may be 1.
        weight: ``[out, in]``, ``[B, out, in]`` or a shifted weight.
        bias: ``[out]`` or ``[B, out]``.
    """
    if isinstance(weight, ShiftedWeight):
        shift = weight.shift
        return added_product(linear(x, weight.weight, bias), product(x, shift.right.mT), shift.left)
    if weight.dim() == 2 and (bias is None or bias.dim() == 1) and not rounds():
        return torch.nn.functional.linear(x, weight, bias)
    if bias is None:
        return product(x, weight.mT)
    if len(x) == len(weight) and weight.dim() == 3:
        return added_product(bias[..., None, :], x, weight.mT)
    return product(x, weight.mT) + bias[..., None, :]


def linear_transposed(y: Tensor, weight: Weight) -> Tensor:
    """Pull rows back through :func:`linear`: ``[B, S, out] -> [B, S, in]``."""
    if isinstance(weight, ShiftedWeight):
        shift = weight.shift
        return added_product(linear_transposed(y, weight.weight), product(y, shift.left.mT), shift.right)
    return product(y, weight) if weight.dim() == 3 or rounds() else torch.nn.functional.linear(y, weight.mT)


def dot(rows: Tensor, vector: Tensor, plus: Tensor) -> Tensor:
    """Inner products of a client's rows with one vector, and something to add: ``[B, S, D] -> [B, S]``.

    Args:
        rows: ``[B, S, D]``, or ``[1, S, D]``: the same for all clients.
        vector: ``[D]``, or ``[B, D]``: one per client.
        plus: ``[B, S]``, or of size 1 where it is the same.
    """
    if vector.dim() == 1:
        return added_product(plus[:, None], vector.expand(len(rows), 1, -1), rows.mT)[:, 0]
    if len(rows) == 1:
        return added_product(plus, vector, rows[0].mT)
    # A vector times a matrix is faster than a matrix times a vector.
    return added_product(plus[:, None], vector[:, None], rows.mT)[:, 0]


def weight_gradient(left: Tensor, right: Tensor) -> Gradient:
    """Per-client gradient of a weight from its factors ``[B, R, out]`` and ``[B, R, in]``, in the cheaper form."""
    (rows, outputs), inputs = left.shape[1:], right.shape[2]
    if rows * (outputs + inputs) * FACTORED_COST < outputs * inputs:
        return OuterProducts(rounded(left), rounded(right))
    return product(left.mT, right)


def summed_weight_gradient(left: Tensor, right: Tensor) -> Tensor:
    """Sum over clients of the weight gradient, ``[out, in]``: one product over all rows of all clients."""
    return product(left.flatten(0, 1).mT, right.flatten(0, 1))


def by_client(factor: Tensor, value: Tensor) -> Tensor:
    """A number for each client ``[B]`` or entry ``[B, S]``, with as many axes as ``value [B, *shape]``, as a factor."""
    return factor.view(*factor.shape, *(1,) * (value.dim() - factor.dim()))


def as_dense(gradient: Gradient) -> Tensor:
    """The gradient as a tensor."""
    return gradient.dense() if isinstance(gradient, OuterProducts) else gradient
