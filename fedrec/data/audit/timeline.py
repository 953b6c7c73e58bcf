"""The global timeline: how much of what is trained on is younger than what is held out of others.

Leave-one-out splits every user's rows by the user's own time. So training holds rows of others from after the moment at
which a held-out item was chosen: a model learns from a future that nobody could have known (Ji, Sun, Zhang, Li, *A
Critical Study on Data Leakage in Recommender System Offline Evaluation*, arXiv:2010.11060).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedrec.data.draws import Int64s
from fedrec.data.interactions import Interactions
from fedrec.data.protocol.filters import kept_rows
from fedrec.data.protocol.holding import hold_out
from fedrec.data.protocol.rows import Rows
from fedrec.data.protocol.split import Split
from fedrec.evaluation.baselines import Baseline, BaselineScore, baseline_ranks, measured

RECENT = 0.2  # share of the training rows that counts as recent


@dataclass(frozen=True)
class Timeline:
    """Training rows and test items on one line.

    Attributes:
        younger: Share of other users' training rows that are younger than a user's test item, mean over those held out.
        concerned: Share of training rows that are younger than the test item of at least one other user.
        popular: What most popular items score if every user's are those of the time of its test item: items by their
            number of older training rows.
        recent: The same of the newest of these rows alone, as many as a fifth of all.
    """

    younger: float
    concerned: float
    popular: Baseline
    recent: Baseline


def timeline(interactions: Interactions, split: Split, k: int) -> Timeline | None:
    """Lay a split out in time; none where the file has no times.

    Args:
        interactions: What the split was made of.
        split: The split.
        k: Cutoff of the measures.

    Example:
        >>> from fedrec.data.protocol.presets import ProtocolOverrides, protocol_named
        >>> from fedrec.data.protocol.split import split
        >>> from fedrec.data.synthetic import Plan, synthetic
        >>> data = synthetic(Plan(users=50, items=200, rows=900), seed=0)
        >>> for name in ("fair", "temporal"):
        ...     made = split(data, protocol_named(name, ProtocolOverrides(candidates=20)), split_seed=0)
        ...     print(name, round(timeline(data, made, k=10).younger, 2))
        fair 0.03
        temporal 0.0
    """
    if interactions.timestamp is None:
        return None
    held = hold_out(kept_rows(interactions, split.protocol), split.protocol, split.split_seed)
    train, test = held.train, held.times[-1]
    times = np.sort(train.time)
    recently = max(1, int(RECENT * len(times)))
    since = times[np.maximum(np.searchsorted(times, test) - recently, 0)]
    popular, recent = (
        measured(baseline_ranks(popularity_then(train, test, first), split, "test"), k) for first in (None, since)
    )
    return Timeline(*_younger(train, held.users, test), popular, recent)


def popularity_then(train: Rows, when: Int64s, since: Int64s | None = None) -> BaselineScore:
    """Every item's score is its number of training rows that are older than the user's moment.

    Args:
        train: Training rows.
        when: ``int64 [U]`` the moment of every user.
        since: ``int64 [U]`` rows older than this do not count; None: all do.

    Example:
        >>> train = Rows(np.array([0, 1, 1]), np.array([2, 1, 2]), np.array([5, 6, 7]), np.arange(2), np.arange(3))
        >>> popularity_then(train, np.array([6, 9]))(np.array([0, 1]), np.array([[1, 2]])).tolist()
        [[0, 1], [1, 2]]
    """
    moments, places = np.unique(train.time, return_inverse=True)
    width = len(moments) + 1
    rows = np.sort(train.item * width + places)
    before = np.searchsorted(moments, when)
    first = 0 * before if since is None else np.searchsorted(moments, since)

    def score(users: Int64s, items: Int64s) -> Int64s:
        """Of an item's rows, in order of time, those up to the moment."""
        own = items * width
        return np.searchsorted(rows, own + before[users, None]) - np.searchsorted(rows, own + first[users, None])

    return score


def _younger(train: Rows, users: Int64s, test: Int64s) -> tuple[float, float]:
    """The two shares, given users of whom items are held out and all users' times of the test items."""
    total, own = len(train.time), np.bincount(train.user, minlength=len(test))
    later = total - np.searchsorted(np.sort(train.time), test[users], side="right")
    # A user's own rows are never younger than its test item, so all of these are of others.
    younger = later / np.maximum(total - own[users], 1)
    oldest = users[np.argsort(test[users], kind="stable")[:2]]
    # The oldest test item of somebody else: of all users but one it is the same.
    others = np.full(len(test), test[oldest[0]])
    others[oldest[0]] = test[oldest[-1]]
    return float(younger.mean()), float((train.time > others[train.user]).mean())
