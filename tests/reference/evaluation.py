"""Ranks and metrics, one user after another."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from tests.reference.models import Recommender
from tests.reference.round import Federation


def rank(federation: Federation, recommender: Recommender, user: int, held_out: int, candidates: Tensor) -> int:
    """Rank ``held_out`` among ``candidates`` (``int64 [M]``), from 1; ties and nan count against it.

    A user that keeps a copy of the shared parameters is scored with it, all others with the server's.
    """
    shared = federation.copies.get(user, federation.shared)
    items = torch.cat([torch.tensor([held_out]), candidates])
    scores = recommender.logits(shared, federation.private[user], items).tolist()
    return 1 + sum(1 for score in scores[1:] if not score < scores[0])


def full_rank(
    federation: Federation, recommender: Recommender, user: int, held_out: int, num_items: int, seen: Sequence[int]
) -> int:
    """Rank ``held_out`` among all other items that are not in ``seen``."""
    left_out = {held_out, *seen}
    candidates = torch.tensor([item for item in range(num_items) if item not in left_out], dtype=torch.int64)
    return rank(federation, recommender, user, held_out, candidates)


def hit_rate(ranks: Sequence[int], k: int) -> float:
    """Return HR@K: the share of users whose held-out item is among the first ``k``."""
    return sum(1.0 for r in ranks if r <= k) / len(ranks)


def ndcg(ranks: Sequence[int], k: int) -> float:
    """Return NDCG@K with one relevant item: 1 / log2(rank + 1) if it is among the first ``k``."""
    return sum(1.0 / math.log2(r + 1) for r in ranks if r <= k) / len(ranks)


def mrr(ranks: Sequence[int], k: int) -> float:
    """Return MRR@K: 1 / rank if the held-out item is among the first ``k``."""
    return sum(1.0 / r for r in ranks if r <= k) / len(ranks)
