"""One table of methods: results over seeds, and what a client and a round cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from scipy.special import stdtrit

from fedrec.analysis.fingerprints import require_one_fingerprint
from fedrec.evaluation.table import EXPOSURE, EXPOSURE_LABEL, MEASURES, MODEL, POPULAR
from fedrec.report.rows import FINGERPRINT, METHOD
from fedrec.runs import settings

KILO, MEGA = 1e3, 1e6


def method_table(rows: pd.DataFrame, mix_fingerprints: bool = False) -> pd.DataFrame:
    """Every method, and most popular items, in a row each.

    Args:
        rows: Results of runs, as :func:`fedrec.report.rows.result_rows` gives them.
        mix_fingerprints: Whether they may be of different data or protocols.

    Returns:
        Columns ``method``, ``fingerprint`` (of data and protocol; NaN where a run has none), ``seeds``; a mean and half
        of its 95 % interval for every measure (``sampled HR@10``, ``sampled HR@10 ±``, …), Student's over seeds, or
        over users where there is one seed or no seed changes it; ``exposure@10`` likewise where it was measured;
        ``rounds`` and costs of one client and round, means over the runs: ``up``, ``up touched`` and ``down`` (10^3
        bytes), ``mflop`` (10^6 operations), ``seconds``. Sorted by full NDCG@10, the best first.

    Raises:
        InputError: The runs have several fingerprints, and may not.
    """
    rows = rows.assign(**{FINGERPRINT: rows[FINGERPRINT].astype(object).replace("", None)})
    names = {FINGERPRINT: settings.FINGERPRINT, "protocol": "data.protocol"}
    require_one_fingerprint(rows.rename(columns=names), mix_fingerprints)
    costs = {
        "rounds": rows["rounds"],
        "up": rows["bytes_up"] / KILO,
        "up touched": rows["bytes_up_touched"] / KILO,
        "down": rows["bytes_down"] / KILO,
        "mflop": rows["operations"] / MEGA,
        "seconds": rows["round_seconds"],
    }
    rows = rows.assign(**costs)
    table = []
    for _, own in rows.groupby([METHOD, FINGERPRINT], sort=False, observed=True, dropna=False):
        measured = _measured(own, _names(MODEL) | {EXPOSURE_LABEL: EXPOSURE})
        spent = {name: own[name].mean() for name in costs}
        made = {"method": str(own[METHOD].iloc[0]), FINGERPRINT: own[FINGERPRINT].iloc[0]}
        table.append({**made, "seeds": len(own), **measured, **spent})
    # Most popular items are the same in every run of a fingerprint.
    known = rows[rows[MEASURES[0].name(POPULAR, "test").removeprefix("test/")].notna()]
    for _, popular in known.groupby(FINGERPRINT, sort=False, dropna=False):
        measured = _measured(popular.head(1), _names(POPULAR))
        table.append({"method": POPULAR, FINGERPRINT: popular[FINGERPRINT].iloc[0], "seeds": None, **measured})
    order = pd.DataFrame(table)
    return order.sort_values(MEASURES[-1].label, ascending=False, kind="stable", ignore_index=True)


def _names(model: str) -> dict[str, str]:
    """The names of a model's measures by what a table calls them."""
    return {measure.label: measure.name(model) for measure in MEASURES}


def _measured(own: pd.DataFrame, names: Mapping[str, str]) -> dict[str, float]:
    """Means over a method's runs of what was measured, by label, each with half of its interval."""
    found = {}
    for label, name in names.items():
        column = name.removeprefix("test/")
        if column in own:
            found[label], found[f"{label} ±"] = mean_and_half(own[column], own[f"{column}_half"])
    return found


def mean_and_half(values: pd.Series[Any], halves: pd.Series[Any]) -> tuple[float, float]:
    """A mean over seeds and half of its 95 % interval, Student's, or over users where no seed changes the figure.

    Args:
        values: The figure of every seed.
        halves: Half of its 95 % interval over users.
    """
    half = halves.iloc[0]
    if values.nunique() > 1:
        half = stdtrit(len(values) - 1, 0.975) * values.std() / len(values) ** 0.5
    return float(values.mean()), float(half)


def markdown(table: pd.DataFrame) -> str:
    """The table as Markdown; below it how long all runs trained, and the fingerprint, a column where there are several.

    Args:
        table: As :func:`method_table` gives it.
    """
    spent = ["rounds", "kB up (touched rows)", "kB down", "MFLOP", "s a round"]
    mixed = table[FINGERPRINT].nunique(dropna=False) > 1
    labels = [label for label in (*_names(MODEL), EXPOSURE_LABEL) if label in table]
    head = ["method", *[FINGERPRINT] * mixed, "seeds", *labels, *spent]
    lines = [head, ["---"] * len(head)]
    for row in table.to_dict("records"):
        measured = ["" if pd.isna(row[k]) else f"{row[k]:.3f} ± {row[f'{k} ±']:.3f}" for k in labels]
        seeds = f"{row['seeds']:.0f}" if pd.notna(row["seeds"]) else ""
        costs = [_short(row.get(name)) for name in ("rounds", "up", "up touched", "down", "mflop", "seconds")]
        rounds, up, touched, *others = costs
        if touched and touched != up:
            up = f"{up} ({touched})"
        fingerprint = _said(row[FINGERPRINT])
        lines.append([str(row["method"]), *[fingerprint] * mixed, seeds, *measured, rounds, up, *others])
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    if mixed:
        return text
    minutes = (table["seeds"].astype(float) * table["rounds"] * table["seconds"]).sum() / 60
    trained = f"{minutes:,.0f} minutes of training in all. " if minutes >= 1 else ""
    return f"{text}\n{trained}Fingerprint of data and protocol: {_said(table[FINGERPRINT].iloc[0])}.\n"


def _said(fingerprint: Any) -> str:
    return "not known" if pd.isna(fingerprint) else str(fingerprint)


def _short(value: Any) -> str:
    """A cost in three digits; blank if it is not known."""
    if value is None or pd.isna(value):
        return ""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
