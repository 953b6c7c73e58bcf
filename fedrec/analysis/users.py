"""Statistics over the users of a run: how far its figures, or a difference of two runs, would move with other users."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrec.data.draws import hash_u64, integers
from fedrec.errors import InputError

Floats = NDArray[np.float64]
Ranks = NDArray[np.int64]
Metric = Literal["hr", "ndcg", "mrr"]

_CELLS = 4_000_000  # numbers held at once while resampling: 32 MB
_OF_RANK: dict[str, Callable[[Ranks], Floats]] = {
    "hr": np.ones_like,
    "ndcg": lambda rank: 1 / np.log2(rank + 1.0),
    "mrr": lambda rank: 1.0 / rank,
}


@dataclass(frozen=True)
class Estimate:
    """A mean over users and its interval.

    Attributes:
        mean: The mean.
        low: Lower end of the interval.
        high: Upper end.
        users: Number of users.
    """

    mean: float
    low: float
    high: float
    users: int


@dataclass(frozen=True)
class Comparison:
    """Difference of two runs on the same users, the second minus the first.

    Attributes:
        difference: Mean over users, with its interval.
        detectable: The smallest true difference that these users would have shown (two-sided level and power as asked).
        below_noise: Whether the difference is smaller than that: nothing can be concluded from it.
    """

    difference: Estimate
    detectable: float
    below_noise: bool


def load_ranks(run: str | Path) -> pd.DataFrame:
    """Read the ranks that ``fedrec test`` left in a run folder.

    Args:
        run: Run folder.

    Returns:
        One row per user, indexed by raw id, and a column per model and ranking (``sampled``, ``full``,
        ``popular_sampled``, ``mean_private_full``, …).

    Raises:
        InputError: The run was not tested.
    """
    path = Path(run) / "ranks.parquet"
    if not path.exists():
        raise InputError(f"{path}: missing; `fedrec test` writes it")
    return pd.read_parquet(path).set_index("user")


def tested_ranks(runs: Iterable[Path]) -> dict[str, pd.DataFrame]:
    """Ranks of those run folders that were tested, by run."""
    return {run.resolve().name: load_ranks(run) for run in runs if (run / "ranks.parquet").exists()}


def value_of_rank(rank: Ranks, metric: Metric, k: int = 10) -> Floats:
    """The metric of every rank, ``float64``: HR@K, NDCG@K or MRR@K of one held-out item.

    Args:
        rank: ``int64``, from 1, any shape.
        metric: Which.
        k: Cut-off K.
    """
    return np.where(rank <= k, _OF_RANK[metric](rank), 0.0)


def bootstrap(values: Floats, confidence: float = 0.95, resamples: int = 2000, seed: int = 0) -> Estimate:
    """Mean over users with a percentile bootstrap interval.

    Args:
        values: ``float64 [U]``, one per user.
        confidence: Coverage.
        resamples: How often users are drawn with replacement; resample b is a function of (seed, b).
        seed: Any integer.

    Raises:
        InputError: There are no users.
    """
    if not len(values):
        raise InputError("bootstrap: expected at least one user")
    means = np.concatenate(list(_resampled_means(values, resamples, seed)))
    low, high = np.quantile(means, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Estimate(float(values.mean()), float(low), float(high), len(values))


def _resampled_means(values: Floats, resamples: int, seed: int) -> Iterator[Floats]:
    block = max(1, _CELLS // len(values))
    for start in range(0, resamples, block):
        which = np.arange(start, min(start + block, resamples))[:, None]
        words = hash_u64(seed, "bootstrap over users", which, np.arange(len(values)))
        yield values[integers(words, len(values))].mean(1)


def compare(
    first: pd.Series[int] | pd.DataFrame,
    second: pd.Series[int] | pd.DataFrame,
    metric: Metric = "ndcg",
    k: int = 10,
    confidence: float = 0.95,
    power: float = 0.8,
) -> Comparison:
    """Compare two runs user by user.

    Pairing takes out what the users have in common: the interval is that of the mean of per-user differences. The
    smallest detectable difference is ``(z_{1 - a/2} + z_power) s / sqrt(U)`` with s their standard deviation.

    Args:
        first: Ranks, indexed by user; a column per seed where there are several, whose metrics are averaged per user.
        second: Ranks of the same users.
        metric: What is compared.
        k: Cut-off K.
        confidence: Coverage of the interval, ``1 - a``.
        power: Probability with which a difference of the detectable size would be seen.

    Raises:
        InputError: The users are not the same, or there are fewer than two.
    """
    if len(first) < 2 or not first.index.sort_values().equals(second.index.sort_values()):
        raise InputError(f"compare: expected the same users in both runs, got {len(first)} and {len(second)} users")
    values = [value_of_rank(np.asarray(ranks, dtype=np.int64), metric, k) for ranks in (first, second.loc[first.index])]
    before, after = (value if value.ndim == 1 else value.mean(1) for value in values)
    change = after - before
    normal = NormalDist()
    width = normal.inv_cdf(0.5 + confidence / 2) + normal.inv_cdf(power)
    detectable = width * float(change.std(ddof=1)) / math.sqrt(len(change))
    difference = bootstrap(change, confidence)
    return Comparison(difference, detectable, abs(difference.mean) < detectable)
