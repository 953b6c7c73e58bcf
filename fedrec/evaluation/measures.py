"""Ranks of held-out items, and the metrics that are functions of a rank: the one place where they are defined.

A rank counts from 1. Ties count against the held-out item, so that a constant score is worth nothing. With one relevant
item per user HR@K is the share of ranks up to K, NDCG@K the mean of ``1 / log2(rank + 1)`` and MRR@K that of
``1 / rank`` over those ranks, 0 beyond.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

CUTOFFS = (5, 10, 15, 20)


def ranks(held_out: Any, others: Any, allowed: Any = None) -> Any:
    """Rank of each held-out item among the others.

    Args:
        held_out: ``[V]`` its score, a tensor or an array. A score that is NaN ranks last.
        others: ``[V, M]`` scores of the items it competes with.
        allowed: ``bool [V, M]``, False where an item does not compete; None: all do.

    Returns:
        ``int64 [V]``, from 1 to M + 1, of the same kind as the scores.

    Example:
        >>> ranks(np.array([3.0, 1.0]), np.array([[1.0, 2.0], [4.0, 1.0]])).tolist()
        [1, 3]
    """
    # Ties and NaN come before the held-out item: a model that gives all items one score must not look good, as it would
    # with ties in its favour, nor average, as with ties broken at random.
    before = ~(others < held_out[:, None])
    if allowed is not None:
        before &= allowed
    return 1 + before.sum(1)


def hit_rate(rank: ArrayLike, k: int) -> Floats:
    """HR@K of each rank, ``float64`` of the same shape: 1 if the held-out item is among the first K.

    Example:
        >>> hit_rate([1, 10, 11], k=10).tolist()
        [1.0, 1.0, 0.0]
    """
    return (np.asarray(rank) <= k).astype(np.float64)


def ndcg(rank: ArrayLike, k: int) -> Floats:
    """NDCG@K of each rank, ``float64`` of the same shape: ``1 / log2(rank + 1)`` within the first K, else 0.

    Example:
        >>> ndcg([1, 3, 11], k=10).tolist()
        [1.0, 0.5, 0.0]
    """
    rank = np.asarray(rank)
    return np.where(rank <= k, 1 / np.log2(rank + 1.0), 0.0)


def reciprocal_rank(rank: ArrayLike, k: int) -> Floats:
    """MRR@K of each rank, ``float64`` of the same shape: ``1 / rank`` within the first K, else 0.

    Example:
        >>> reciprocal_rank([1, 4, 11], k=10).tolist()
        [1.0, 0.25, 0.0]
    """
    rank = np.asarray(rank)
    return np.where(rank <= k, 1.0 / rank, 0.0)


METRICS = {"hr": hit_rate, "ndcg": ndcg, "mrr": reciprocal_rank}


def means(counts: ArrayLike, cutoffs: tuple[int, ...] = CUTOFFS) -> dict[str, float]:
    """Every metric's mean over users, from how many users have each rank.

    Args:
        counts: ``int64 [R]``: ``counts[r]`` users have rank ``r + 1``; the last entry may stand for all ranks from
            there on, if it is beyond every cut-off.
        cutoffs: The K.

    Returns:
        Means by name (``hr_10``); NaN before any user.

    Example:
        >>> means([3, 0, 1], cutoffs=(1,))  # three users of four have their item in the first place
        {'hr_1': 0.75, 'ndcg_1': 0.75, 'mrr_1': 0.75}
    """
    counts = np.asarray(counts)
    users, rank = counts.sum(), np.arange(1, len(counts) + 1)
    named = {f"{name}_{k}": metric(rank, k) @ counts for name, metric in METRICS.items() for k in cutoffs}
    return {name: float(total / users) if users else float("nan") for name, total in named.items()}
