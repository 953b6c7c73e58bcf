"""Ways to rank that learn nothing: most popular items, the user's own items again, chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedrec.data.draws import Int64s
from fedrec.data.protocol.presets import Stage
from fedrec.data.protocol.split import Split


@dataclass(frozen=True)
class Reference:
    """Mean HR@K and NDCG@K over all users of a way to rank that learns nothing."""

    hr: float
    ndcg: float


def ranks(held_out_scores: Int64s, candidate_scores: Int64s) -> Int64s:
    """Rank of each held-out item among its candidates, from 1; ties count against the held-out item.

    Args:
        held_out_scores: ``int64 [U]``, for instance counts of rows.
        candidate_scores: ``int64 [U, M]``.

    Returns:
        ``int64 [U]``, from 1 to M + 1.
    """
    return np.asarray(1 + np.count_nonzero(candidate_scores >= held_out_scores[:, None], axis=1))


def hit_rate(ranks: Int64s, k: int) -> float:
    """HR@K: the share of ranks that are at most ``k``."""
    return float(np.mean(ranks <= k))


def ndcg(ranks: Int64s, k: int) -> float:
    """NDCG@K with one relevant item: the mean of ``1 / log2(rank + 1)``, 0 beyond rank ``k``."""
    return float(np.mean(np.where(ranks <= k, 1 / np.log2(ranks + 1), 0)))


def most_popular(split: Split, stage: Stage, k: int) -> Reference:
    """Rank by the number of training rows of the item, for everybody alike."""
    items, candidates = split.held_out_items(stage)
    return _reference(ranks(split.popularity[items], split.popularity[candidates]), k)


def repeat(split: Split, stage: Stage, k: int) -> Reference:
    """Rank by the number of the user's own training rows with the item, and equals by popularity.

    No candidate is in its user's training rows: a held-out item that is comes first, any other is ranked as by
    :func:`most_popular`. The two differ only under a protocol that keeps duplicates.
    """
    items, candidates = split.held_out_items(stage)
    own = split.train_sets.contain(np.arange(split.num_users), items)
    popular = ranks(split.popularity[items], split.popularity[candidates])
    return _reference(np.where(own, 1, popular), k)


def chance(candidates: int, k: int) -> Reference:
    """What a random order scores on average: every rank from 1 to ``candidates + 1`` is equally likely."""
    all_ranks = np.arange(1, candidates + 2)
    return _reference(all_ranks, k)


def _reference(ranks: Int64s, k: int) -> Reference:
    return Reference(hr=hit_rate(ranks, k), ndcg=ndcg(ranks, k))
