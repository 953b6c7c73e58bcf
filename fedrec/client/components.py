"""A client's gradient, taken apart along another one: what GSAM and LookSAM are made of."""

from __future__ import annotations

import torch
from torch import Tensor

from fedrec.client.part import Part
from fedrec.models.linear import as_dense, by_client


def copied(part: Part) -> Part:
    """The same gradient, its rows in memory of their own: a perturbation writes over those of a first gradient."""
    return Part(dict(part.dense), {name: rows.clone() for name, rows in part.rows.items()})


def inner(one: Part, other: Part) -> Tensor:
    """Inner products ``[B]`` of gradients of one side, one for each client; 0 for a side without parameters."""
    pairs = [(as_dense(value), as_dense(other.dense[name])) for name, value in one.dense.items()]
    pairs += [(rows, other.rows[name]) for name, rows in one.rows.items()]
    products = [(a * b).reshape(len(a), -1).sum(1) for a, b in pairs]
    return torch.stack(products).sum(0) if products else torch.zeros(())


def plus(one: Part, factor: Tensor, other: Part) -> Part:
    """``one + factor other``, with a factor for each client ``[B]``, or one for all ``[]``."""

    def added(value: Tensor, more: Tensor) -> Tensor:
        """The same for one parameter."""
        return torch.addcmul(value, by_client(factor, more), more)

    dense = {name: added(as_dense(value), as_dense(other.dense[name])) for name, value in one.dense.items()}
    return Part(dict(dense), {name: added(value, other.rows[name]) for name, value in one.rows.items()})


def across(one: Part, other: Part) -> Part:
    """The component of ``one`` that is orthogonal to ``other``, client by client."""
    return plus(one, -inner(one, other) / (other.norm() + 1e-12).square(), other)
