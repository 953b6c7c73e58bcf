"""Ranks of held-out items, and the metrics that are functions of a rank.

A rank counts from 1. Ties count against the held-out item, so that a constant score is worth nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

CUTOFFS = (5, 10, 15, 20)


def ranks(held_out: Tensor, others: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Rank of each held-out item among the others.

    Args:
        held_out: ``[V]`` its score. A score that is NaN ranks last.
        others: ``[V, M]`` scores of the items it competes with.
        allowed: ``bool [V, M]``, False where an item does not compete; None: all do.

    Returns:
        ``int64 [V]``, from 1 to M + 1.
    """
    before = ~(others < held_out[:, None])
    if allowed is not None:
        before &= allowed
    return 1 + before.sum(1)


def hit_rate(rank: Tensor, k: int) -> Tensor:
    """HR@K of each rank, ``float64 [V]``: 1 if the held-out item is among the first K."""
    return (rank <= k).double()


def ndcg(rank: Tensor, k: int) -> Tensor:
    """NDCG@K of each rank, ``float64 [V]``: ``1 / log2(rank + 1)`` within the first K; the ideal DCG is 1."""
    return torch.where(rank <= k, 1 / torch.log2(rank.double() + 1), 0.0)


def reciprocal_rank(rank: Tensor, k: int) -> Tensor:
    """MRR@K of each rank, ``float64 [V]``: ``1 / rank`` within the first K."""
    return torch.where(rank <= k, 1 / rank.double(), 0.0)
