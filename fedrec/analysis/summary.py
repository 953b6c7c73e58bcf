"""A folder of runs in a few tables: settings, results with intervals, differences user by user, costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fedrec.analysis.columns import experiment_settings, methods
from fedrec.analysis.statistics import over_seeds
from fedrec.analysis.users import Comparison, Metric, bootstrap, compare, value_of_rank
from fedrec.runs.settings import RUN, SEED

SETTING = "setting"
# Who is ranked, how its metrics are called, and its columns among the ranks.
MODELS = {
    "model": ("test/", ""),
    "most popular": ("test/popular_", "popular_"),
    "mean-private": ("test/mean_private_", "mean_private_"),
}
# What is measured: the end of the metric's name, its ranking, and the metric of one rank.
MEASURES: dict[str, tuple[str, str, Metric]] = {
    "HR@10, sampled": ("hr_10", "sampled", "hr"),
    "NDCG@10, sampled": ("ndcg_10", "sampled", "ndcg"),
    "HR@10, all items": ("full_hr_10", "full", "hr"),
    "NDCG@10, all items": ("full_ndcg_10", "full", "ndcg"),
}
_SHORT = {
    "model.client.lr": "client lr",
    "model.server.lr": "server lr",
    "trainer.max_epochs": "rounds",
    "data.client_fraction": "fraction",
    "model.recommender.embedding_dim": "embedding",
}


def settings(frame: pd.DataFrame) -> pd.Series[str]:
    """A name for each row's setting: its method, and whatever else varies within the method.

    Args:
        frame: Runs.

    Returns:
        Names, aligned with the rows; runs of one name differ in the seed alone.
    """
    names = methods(frame)
    for _, rows in frame.groupby(names, sort=False):
        varying = [c for c in experiment_settings(frame) if rows[c].nunique(dropna=False) > 1]
        for column in varying:
            said = _SHORT.get(column, column.rpartition(".")[2].replace("_", " "))
            values = rows[column].map(lambda value: f"{value:g}" if isinstance(value, int | float) else str(value))
            names.loc[rows.index] = names.loc[rows.index] + f", {said} " + values
    return names


def results(frame: pd.DataFrame, ranks: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Test results of every setting, model and measure.

    Args:
        frame: One row per run, with a column ``setting``.
        ranks: Per-user ranks by run, where they are known.

    Returns:
        Columns ``setting``, ``model``, ``measure``, ``mean``, ``half`` (half the 95 % interval, NaN where it
        is not known) and ``seeds``. The interval is over seeds where a setting has several, else over users.
    """
    names = {start + end: (model, what) for model, (start, _) in MODELS.items() for what, (end, *_) in MEASURES.items()}
    known = [name for name in names if name in frame and frame[name].notna().any()]
    if not known:
        return pd.DataFrame(columns=[SETTING, "model", "measure", "mean", "half", "seeds"])
    run_of = frame.dropna(subset=known).groupby(SETTING)[RUN].first()
    rows: list[dict[str, Any]] = over_seeds(frame, known, [SETTING]).to_dict("records")  # type: ignore[assignment]
    for row in rows:
        row["model"], row["measure"] = names[row["metric"]]
        row["half"] = row["high"] - row["mean"]
        if row["seeds"] == 1:
            row["half"] = _half_over_users(ranks.get(run_of[row[SETTING]]), row["model"], row["measure"])
    return pd.DataFrame(rows)[[SETTING, "model", "measure", "mean", "half", "seeds"]]


def _half_over_users(ranks: pd.DataFrame | None, model: str, measure: str) -> float:
    if ranks is None:
        return float("nan")
    _, ranking, metric = MEASURES[measure]
    found = bootstrap(value_of_rank(ranks[MODELS[model][1] + ranking].to_numpy(), metric))
    return (found.high - found.low) / 2


def differences(
    frame: pd.DataFrame, ranks: Mapping[str, pd.DataFrame], measure: str = "NDCG@10, sampled"
) -> pd.DataFrame:
    """Every setting against most popular, against its mean-private model and against the first setting, user by user.

    Settings are compared over the seeds that both have. All runs must rank the same users.

    Args:
        frame: One row per run, with a column ``setting``.
        ranks: Per-user ranks by run; settings with none are left out.
        measure: One of :data:`MEASURES`.

    Returns:
        Columns ``setting``, ``against``, ``difference`` (the setting minus the other), ``low`` and ``high`` (95 %
        interval), ``detectable`` and ``verdict``, in the order of the settings.
    """
    _, ranking, metric = MEASURES[measure]
    by_seed: dict[str, dict[int, pd.DataFrame]] = {}
    for run in frame[frame[RUN].isin(ranks)].to_dict("records"):
        by_seed.setdefault(run[SETTING], {})[int(run.get(SEED, 0))] = ranks[run[RUN]]

    def column(setting: str, model: str, seeds: Sequence[int]) -> pd.DataFrame:
        name = MODELS[model][1] + ranking
        return pd.concat({seed: by_seed[setting][seed][name] for seed in seeds}, axis=1)

    def row(setting: str, other: str, model: str, seeds: Sequence[int]) -> list[Any]:
        found = compare(column(other, model, seeds), column(setting, "model", seeds), metric)
        mean, low, high = found.difference.mean, found.difference.low, found.difference.high
        return [setting, other if model == "model" else model, mean, low, high, found.detectable, _verdict(found)]

    rows = []
    for place, (setting, seeds) in enumerate(by_seed.items()):
        rows += [row(setting, setting, model, list(seeds)) for model in ("most popular", "mean-private")]
        first = next(iter(by_seed))
        common = [seed for seed in seeds if seed in by_seed[first]]
        if place and common:
            rows.append(row(setting, first, "model", common))
    return pd.DataFrame(rows, columns=[SETTING, "against", "difference", "low", "high", "detectable", "verdict"])


def _verdict(found: Comparison) -> str:
    if found.below_noise or found.difference.mean == 0:
        return "within the noise"
    return "better" if found.difference.mean > 0 else "worse"


def costs(frame: pd.DataFrame) -> pd.DataFrame:
    """What every setting costs: rounds, traffic and time; means over its runs.

    Args:
        frame: Runs, one row per (run, round), with a column ``setting``.

    Returns:
        One row per setting: ``rounds``, ``up`` and ``down`` (10^6 bytes a round, all clients together), ``total`` (10^6
        bytes of a run), ``left out`` (clients a run), ``seconds`` (a round, evaluation included); NaN where not known.
    """
    columns = {
        "up": "train/bytes_up",
        "down": "train/bytes_down",
        "left out": "train/clients_left_out",
        "seconds": "time/round_seconds",
    }
    known = pd.DataFrame({name: frame.get(column, float("nan")) for name, column in columns.items()}, index=frame.index)
    known[["up", "down"]] /= 1e6
    runs = known.groupby([frame[SETTING], frame[RUN]], sort=False)
    table = runs.mean()
    table["rounds"] = runs.size()
    table["total"] = (table["up"] + table["down"]) * table["rounds"]
    table["left out"] *= table["rounds"]
    return table.groupby(SETTING, sort=False).mean()[["rounds", "up", "down", "total", "left out", "seconds"]]
