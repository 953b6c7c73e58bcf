"""One table of methods: results over seeds, and what a client and a round cost."""

from __future__ import annotations

from typing import Any

import pandas as pd
from scipy.special import stdtrit

from fedrec.evaluation.table import MEASURES, MODEL, POPULAR, Measure
from fedrec.report.rows import METHOD

KILO, MEGA = 1e3, 1e6


def method_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Every method, and most popular items, in a row each.

    Args:
        rows: Results of runs, as :func:`fedrec.report.rows.result_rows` gives them, of one data set and protocol.

    Returns:
        Columns ``method``, ``seeds``; a mean and half of its 95 % interval for every measure (``sampled HR@10``,
        ``sampled HR@10 ±``, …), Student's over seeds, or over users where there is one seed or no seed changes it;
        ``rounds`` and costs of one client and round, means over the runs: ``up``, ``up touched`` and ``down`` (10^3
        bytes), ``mflop`` (10^6 operations), ``seconds``. Sorted by full NDCG@10, the best first.
    """
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
    for method, own in rows.groupby(METHOD, sort=False, observed=True):
        measured = {k: v for measure in MEASURES for k, v in _measured(own, measure, MODEL).items()}
        spent = {name: own[name].mean() for name in costs}
        table.append({"method": str(method), "seeds": len(own), **measured, **spent})
    # Most popular items are the same in every run of one data set and protocol.
    popular = rows[rows[MEASURES[0].name(POPULAR, "test").removeprefix("test/")].notna()].head(1)
    if len(popular):
        measured = {k: v for measure in MEASURES for k, v in _measured(popular, measure, POPULAR).items()}
        table.append({"method": POPULAR, "seeds": None, **measured})
    order = pd.DataFrame(table)
    return order.sort_values(MEASURES[-1].label, ascending=False, kind="stable", ignore_index=True)


def _measured(own: pd.DataFrame, measure: Measure, model: str) -> dict[str, float]:
    """A measure's mean over a method's runs and half of its interval."""
    name = measure.name(model).removeprefix("test/")
    values = own[name]
    half = own[f"{name}_half"].iloc[0]
    if values.nunique() > 1:
        half = stdtrit(len(own) - 1, 0.975) * values.std() / len(own) ** 0.5
    return {measure.label: values.mean(), f"{measure.label} ±": half}


def markdown(table: pd.DataFrame) -> str:
    """The table as Markdown.

    Args:
        table: As :func:`method_table` gives it.
    """
    spent = ["rounds", "kB up (touched rows)", "kB down", "MFLOP", "s a round"]
    head = ["method", "seeds", *(measure.label for measure in MEASURES), *spent]
    lines = [head, ["---"] * len(head)]
    for row in table.to_dict("records"):
        measured = [f"{row[m.label]:.3f} ± {row[f'{m.label} ±']:.3f}" for m in MEASURES]
        seeds = f"{row['seeds']:.0f}" if pd.notna(row["seeds"]) else ""
        costs = [_short(row.get(name)) for name in ("rounds", "up", "up touched", "down", "mflop", "seconds")]
        rounds, up, touched, *others = costs
        if touched and touched != up:
            up = f"{up} ({touched})"
        lines.append([str(row["method"]), seeds, *measured, rounds, up, *others])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _short(value: Any) -> str:
    """A cost in three digits; blank if it is not known."""
    if value is None or pd.isna(value):
        return ""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
