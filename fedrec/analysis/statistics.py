"""From runs with several seeds to a mean and its interval, and which round of a run counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd
from scipy.special import stdtrit

from fedrec.analysis.columns import experiment_settings, require
from fedrec.errors import InputError
from fedrec.runs.settings import ROUND, RUN, SEED

OBJECTIVE, FULL_OBJECTIVE = "val/ndcg_10", "val/full_ndcg_10"
SELECT = "checkpoint.select"  # which of the two chooses a run's best checkpoint


def select_round(
    frame: pd.DataFrame, which: Literal["best", "last"] = "best", metric: str | None = None
) -> pd.DataFrame:
    """One row per run: its best or its last round.

    Args:
        frame: Runs, one row per (run, round).
        which: ``best``: the first round with the largest ``metric``. ``last``: the last round that has the metric, so
            that it is an evaluated one.
        metric: What is best. None: that by which a run's own best checkpoint was chosen, ``val/ndcg_10``, or
            ``val/full_ndcg_10`` where ``checkpoint.select`` is ``full``.

    Raises:
        InputError: The metric is missing from the frame or from a run.

    Example:
        >>> runs = pd.DataFrame({"run": "a", "round": [1, 2, 3], "val/ndcg_10": [0.1, 0.3, 0.2]})
        >>> select_round(runs)["round"].tolist(), select_round(runs, "last")["round"].tolist()
        ([2], [3])
    """
    require(frame, [RUN, ROUND, metric or OBJECTIVE])
    frame = frame.sort_values([RUN, ROUND], ignore_index=True)
    values = _objective(frame) if metric is None else frame[metric]
    known = frame[values.notna()]
    without = sorted(set(frame[RUN]) - set(known[RUN]))
    if without:
        raise InputError(f"run {without[0]}: no round has {metric or 'what its best checkpoint is chosen by'}")
    rank = values[known.index] if which == "best" else known[ROUND]
    return known.loc[rank.groupby(known[RUN], sort=False).idxmax()].reset_index(drop=True)


def _objective(frame: pd.DataFrame) -> pd.Series[Any]:
    """By what a run's best checkpoint is chosen, of every round."""
    if SELECT not in frame or not frame[SELECT].eq("full").any():
        return frame[OBJECTIVE]
    require(frame, [FULL_OBJECTIVE])
    return frame[FULL_OBJECTIVE].where(frame[SELECT] == "full", frame[OBJECTIVE])


def over_seeds(
    frame: pd.DataFrame, metrics: Sequence[str], by: Sequence[str], confidence: float = 0.95
) -> pd.DataFrame:
    """Mean over seeds with a Student t interval, for every setting and metric.

    The interval is about the training seed alone: the split is the same in all runs of a setting.

    Args:
        frame: One row per run and value of ``by`` (select a round, or let ``by`` hold ``round``).
        metrics: Columns to average; missing values are left out.
        by: Columns that make a setting. Runs that differ in any other setting are not averaged.
        confidence: Coverage of the interval.

    Returns:
        One row per setting and metric: the columns of ``by``, ``metric``, ``mean``, ``low``, ``high``, ``deviation``
        (standard deviation over seeds) and ``seeds`` (how many); the interval and deviation of one seed are NaN.

    Raises:
        InputError: A column is missing, a seed stands twice in a setting, or a setting mixes different experiments.

    Example:
        >>> runs = pd.DataFrame({"run": ["a", "b"], "seed_everything": [0, 1], "method": "FedNCF"})
        >>> runs["val/hr_10"] = [0.4, 0.6]
        >>> over_seeds(runs, ["val/hr_10"], ["method"])[["mean", "low", "high", "seeds"]].round(3)
           mean    low   high  seeds
        0   0.5 -0.771  1.771      2
    """
    by = list(by)
    require(frame, [*by, *metrics])
    _require_one_experiment(frame, by)
    groups = frame.groupby(by, sort=True, dropna=False, observed=True)
    tables = []
    for metric in metrics:
        table = groups[metric].agg(mean="mean", deviation="std", seeds="count").reset_index()
        table.insert(len(by), "metric", metric)
        tables.append(table[table["seeds"] > 0])
    result = pd.concat(tables, ignore_index=True)
    # With one seed the deviation, and so the interval, is NaN.
    half = stdtrit(result["seeds"] - 1, 0.5 + confidence / 2) * result["deviation"] / result["seeds"] ** 0.5
    result["low"], result["high"] = result["mean"] - half, result["mean"] + half
    return result[[*by, "metric", "mean", "low", "high", "deviation", "seeds"]]


def above_popular(runs: pd.DataFrame, metrics: Sequence[str], by: str) -> pd.DataFrame:
    """By how much settings rank above most popular items, which no seed changes; for figures of differences.

    Args:
        runs: One row per run of one data set under one protocol.
        metrics: Columns ``test/...``; of most popular items they are called ``test/popular_...``.
        by: Column that names a setting.

    Returns:
        See :func:`over_seeds`, with ``difference`` (the mean) and ``difference_half`` (half of the interval; NaN where
        no seed changes the figure), settings sorted by the last metric, the best first.

    Example:
        >>> runs = pd.DataFrame({"run": ["a", "b"], "seed_everything": 0, "method": ["FedNCF", "FCF"]})
        >>> runs["test/hr_10"], runs["test/popular_hr_10"] = [0.4, 0.6], 0.5
        >>> above_popular(runs, ["test/hr_10"], "method")[["method", "difference"]].round(3)
           method  difference
        0     FCF         0.1
        1  FedNCF        -0.1
    """
    differences = {name: runs[name] - runs[name.replace("test/", "test/popular_")] for name in metrics}
    table = over_seeds(runs.assign(**differences), metrics, [by])
    table["difference"] = table["mean"]
    table["difference_half"] = (table["high"] - table["mean"]).where(table["deviation"] > 0)
    best = table[table["metric"] == metrics[-1]].sort_values("mean", ascending=False, kind="stable")[by]
    return table.set_index(by).loc[[*best]].reset_index()


def _require_one_experiment(frame: pd.DataFrame, by: list[str]) -> None:
    """Refuse to average what differs in more than the seed: that is how a figure comes to show something else."""
    groups = frame.groupby(by, dropna=False, observed=True)
    others = [column for column in experiment_settings(frame) if column not in by]
    if others:
        mixed = groups[others].nunique(dropna=False) > 1
        if mixed.to_numpy().any():
            setting = mixed.any(axis=1).idxmax()
            differing = ", ".join(mixed.columns[mixed.to_numpy()[mixed.index.get_loc(setting)]])
            raise InputError(
                f"the runs with {_setting(by, setting)} differ in {differing} too; keep one value or add it to `by`"
            )
    if SEED in frame:
        twice = frame[frame.duplicated([*by, SEED], keep=False)]
        if len(twice):
            first = twice.iloc[0]
            same = twice[(twice[[*by, SEED]] == first[[*by, SEED]]).all(axis=1)]
            if same[RUN].nunique() == 1:
                raise InputError(f"run {first[RUN]} has several rows a setting: select a round or add round to `by`")
            raise InputError(f"runs {', '.join(same[RUN].unique()[:2])} have the same setting and seed; keep one")


def _setting(by: list[str], values: object) -> str:
    each = values if isinstance(values, tuple) else (values,)
    return ", ".join(f"{name} {value}" for name, value in zip(by, each, strict=True))


def unsteadiness(frame: pd.DataFrame, metric: str = "val/ndcg_10", share: float = 0.5) -> pd.Series[float]:
    """How much a metric jumps from one evaluated round to the next, late in training.

    The root mean square of successive differences over the square root of two: von Neumann's estimate of the noise
    around a slow trend (*The Mean Square Successive Difference*, 1941), in the units of the metric.

    Args:
        frame: Runs, one row per (run, round).
        metric: What is watched.
        share: Share of the evaluated rounds, the last ones, that count.

    Returns:
        One value per run, by its id; NaN with fewer than two such rounds.

    Example:
        >>> runs = pd.DataFrame({"run": "a", "round": range(1, 5), "val/ndcg_10": [0.1, 0.3, 0.4, 0.2]})
        >>> unsteadiness(runs).round(3).to_dict()  # 0.2 from the third to the fourth round, over the root of 2
        {'a': 0.141}
    """
    require(frame, [RUN, ROUND, metric])

    def one(values: pd.Series[float]) -> float:
        late = values.iloc[len(values) - max(2, math.ceil(share * len(values))) :] if len(values) > 1 else values
        return float((late.diff().dropna() ** 2).mean() ** 0.5 / 2**0.5)

    ordered = frame.dropna(subset=[metric]).sort_values([RUN, ROUND])
    found = ordered.groupby(RUN)[metric].apply(one).rename("unsteadiness")
    return found.reindex(sorted(frame[RUN].unique()))
