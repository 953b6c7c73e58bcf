"""Ways to rank that learn nothing: most popular items, the user's own items again, chance.

A baseline is a score like a model's, a function of users ``[B]`` and items ``[B, M]`` (or ``[1, M]``), and is ranked
and measured as a model is. :func:`popularity_score` takes arrays and tensors alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedrec.data.draws import Int64s
from fedrec.data.protocol.presets import Stage
from fedrec.data.protocol.split import Split
from fedrec.evaluation.measures import hit_rate, ndcg, ranks

# (users [B], items [B, M] or [1, M]) -> scores [B, M]
BaselineScore = Callable[[Any, Any], Any]


# Users ranked at a time; working arrays then take some 10 MB, however many there are.
_BLOCK = 2**13


@dataclass(frozen=True)
class Baseline:
    """What a way to rank that learns nothing scores: HR@K and NDCG@K, means over the evaluated users."""

    hr: float
    ndcg: float


def popularity_score(popularity: Any) -> BaselineScore:
    """Every item's score is its number of training rows, ``[I]``, for everybody alike.

    Example:
        >>> score = popularity_score(np.array([7, 2, 5]))
        >>> score(np.array([0, 1]), np.array([[0, 2]])).tolist()  # of users 0 and 1, for items 0 and 2
        [[7, 5], [7, 5]]
    """
    return lambda users, items: popularity[items] + 0 * users[:, None]


def repeat_score(split: Split) -> BaselineScore:
    """Items that the user has training rows of come first, equals by popularity; takes and gives arrays."""
    first = int(split.popularity.max(initial=0)) + 1

    def score(users: Int64s, items: Int64s) -> Int64s:
        """Popularity, above everything for the user's own items."""
        items = np.broadcast_to(items, (len(users), items.shape[1]))
        own = split.train_sets.of_users(users).contain(np.arange(len(users))[:, None], items)
        return np.asarray(split.popularity[items] + first * own)

    return score


def most_popular(split: Split, stage: Stage, k: int) -> Baseline:
    """Rank by the number of training rows of the item, for everybody alike.

    Example:
        >>> from fedrec.data.protocol.presets import ProtocolOverrides, protocol_named
        >>> from fedrec.data.protocol.split import split
        >>> from fedrec.data.synthetic import Plan, synthetic
        >>> data = synthetic(Plan(users=50, items=200, rows=900), seed=0)
        >>> made = split(data, protocol_named("fair", ProtocolOverrides(candidates=20)), split_seed=0)
        >>> most_popular(made, "test", k=10).hr
        0.814
    """
    return measured(popular_ranks(split, stage), k)


def popular_ranks(split: Split, stage: Stage) -> Int64s:
    """Ranks of the evaluated users' held-out items by :func:`popularity_score`: ``int64 [E]``."""
    return baseline_ranks(popularity_score(split.popularity), split, stage)


def repeat(split: Split, stage: Stage, k: int) -> Baseline:
    """Rank what the user has training rows of first, equals by popularity.

    No candidate is in its user's training rows: a held-out item that is comes first, any other is ranked as by
    :func:`most_popular`. The two differ only under a protocol that keeps duplicates.
    """
    return measured(baseline_ranks(repeat_score(split), split, stage), k)


def chance(candidates: int, k: int) -> Baseline:
    """What a random order scores on average: every rank from 1 to ``candidates + 1`` is equally likely.

    Example:
        >>> chance(candidates=99, k=10).hr
        0.1
    """
    return measured(np.arange(1, candidates + 2), k)


def measured(rank: Int64s, k: int) -> Baseline:
    """HR@K and NDCG@K of these ranks."""
    return Baseline(hr=float(hit_rate(rank, k).mean()), ndcg=float(ndcg(rank, k).mean()))


def baseline_ranks(score: BaselineScore, split: Split, stage: Stage) -> Int64s:
    """Ranks of the evaluated users' held-out items among their candidates by any score of arrays: ``int64 [E]``."""
    items, candidates = split.held_out_items(stage)
    parts = []
    for start in range(0, len(items), _BLOCK):
        block = slice(start, start + _BLOCK)
        users = split.evaluated[block]
        parts.append(ranks(score(users, items[block, None])[:, 0], score(users, candidates[block])))
    return np.concatenate(parts)
