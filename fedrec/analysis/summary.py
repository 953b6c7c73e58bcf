"""A folder of runs in two tables: results with intervals, and costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from fedrec.analysis.naming import SETTING
from fedrec.analysis.statistics import over_seeds
from fedrec.evaluation.intervals import estimates
from fedrec.evaluation.table import MEASURES, MODELS, POPULAR
from fedrec.runs.settings import RUN

COLUMNS = [SETTING, "model", "measure", "mean", "half", "seeds"]


def results(frame: pd.DataFrame, ranks: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Test results of every setting, of all that is ranked beside it, and of every measure.

    Args:
        frame: One row per run, with a column ``setting``.
        ranks: Per-user ranks by run, where they are known.

    Returns:
        Columns ``setting``, ``model``, ``measure``, ``mean``, ``half`` (half the 95 % interval, NaN where it is not
        known) and ``seeds``. The interval is Student's over seeds where a setting has several, else, and for most
        popular items, which no seed changes, over users.

    Example:
        >>> runs = pd.DataFrame({"run": ["a"], "setting": ["FedNCF"], "test/hr_10": [0.5]})
        >>> results(runs, {"a": pd.DataFrame({"sampled": [1, 50] * 50})})
          setting  model        measure  mean  half  seeds
        0  FedNCF  model  sampled HR@10   0.5   0.1      1
    """
    names = {measure.name(model): (model, measure) for model in MODELS for measure in MEASURES}
    known = [name for name in names if name in frame and frame[name].notna().any()]
    if not known:
        return pd.DataFrame(columns=COLUMNS)
    run_of = frame.dropna(subset=known, how="all").groupby(SETTING, observed=True)[RUN].first()
    rows: list[dict[str, Any]] = over_seeds(frame, known, [SETTING]).to_dict("records")  # type: ignore[assignment]
    figures = {}
    for place, row in enumerate(rows):
        model, measure = names[row["metric"]]
        row |= {"model": model, "measure": measure.label, "half": row["high"] - row["mean"]}
        own = ranks.get(str(run_of.get(row[SETTING])))
        alike = row["seeds"] == 1 or model == POPULAR
        if alike and own is not None and measure.ranks(model) in own:
            figures[place] = measure.values(own[measure.ranks(model)])
    for place, estimate in estimates(figures).items():
        rows[place]["half"] = estimate.half
    return pd.DataFrame(rows)[COLUMNS]


def costs(frame: pd.DataFrame) -> pd.DataFrame:
    """What every setting costs: rounds, traffic, arithmetic and time; means over its runs.

    Args:
        frame: Runs, one row per (run, round), with a column ``setting``.

    Returns:
        One row per setting: ``rounds``; ``up`` and ``down`` (10^6 bytes a client and round, whole item tables);
        ``up touched`` and ``down touched`` (the same, a client's own rows alone); ``mflop`` (10^6 operations a client
        and round); ``total`` (10^6 bytes of a run, all clients together); ``left out`` (clients a run); ``seconds`` (a
        round, evaluation included); ``epsilon`` (user-level privacy that a run has spent). NaN where not known.

    Example:
        >>> traffic = {"train/bytes_up": [8e6] * 2, "train/bytes_down": 24e6, "train/clients": 8}
        >>> runs = pd.DataFrame({"run": "a", "setting": "FedNCF", **traffic})
        >>> costs(runs).loc["FedNCF", ["rounds", "up", "down", "total"]].to_dict()
        {'rounds': 2.0, 'up': 1.0, 'down': 3.0, 'total': 64.0}
    """

    def column(name: str) -> pd.Series[float]:
        """A column of the frame, NaN where there is none."""
        return pd.Series(frame.get(name, float("nan")), index=frame.index, dtype="float64")

    clients, left_out = column("train/clients"), column("train/clients_left_out")
    received = column("train/clients_selected").fillna(clients + left_out.fillna(0))
    up, down = column("train/bytes_up") / 1e6, column("train/bytes_down") / 1e6
    rounds = {
        "up": up / clients,
        "down": down / received,
        "up touched": column("train/bytes_up_touched") / 1e6 / clients,
        "down touched": column("train/bytes_down_touched") / 1e6 / clients,
        "mflop": column("train/gflop") * 1e3 / clients,
        "total": up + down,
        "left out": left_out,
        "seconds": column("time/round_seconds"),
    }
    runs = pd.DataFrame(rounds).groupby([frame[SETTING], frame[RUN]], sort=False, observed=True)
    table = runs.mean()
    trained = frame.filter(like="train/").notna().any(axis=1)  # a reference has a row that is no round
    of_runs = trained.groupby([frame[SETTING], frame[RUN]], sort=False, observed=True).any()
    table.insert(0, "rounds", runs.size().where(of_runs))
    table["epsilon"] = column("train/epsilon").groupby([frame[SETTING], frame[RUN]], sort=False, observed=True).max()
    table[["total", "left out"]] = table[["total", "left out"]].mul(table["rounds"], axis=0)
    return table.groupby(SETTING, sort=False, observed=True).mean()
