"""One table of all methods on all data sets: what a reader asks first."""

from __future__ import annotations

from typing import Any

import pandas as pd

from fedrec.evaluation.table import POPULAR, Measure
from fedrec.report.methods import method_table

SHOWN = (Measure("ndcg"), Measure("ndcg", "full"))


def overview(rows: pd.DataFrame) -> pd.DataFrame:
    """Methods by data sets.

    Args:
        rows: Results of runs under one protocol, as :func:`fedrec.report.rows.read_rows` gives them; of any data sets.

    Returns:
        A row for every method, a column for every data set, in the order of ``rows``: texts of sampled and full
        NDCG@10 with half of their 95 % intervals, empty where a method was not run. Sorted by full NDCG@10 in multiples
        of what most popular items have, averaged over the data sets of a method, the best first.
    """
    columns: dict[str, pd.Series[str]] = {}
    lifts: dict[str, pd.Series[float]] = {}
    for data, own in rows.groupby("data", sort=False):
        table = method_table(own).set_index("method")
        full = table[SHOWN[1].label].astype(float)
        columns[str(data)] = table.apply(_cell, axis=1)
        lifts[str(data)] = full / full[POPULAR]
    order = pd.DataFrame(lifts).mean(axis=1).sort_values(ascending=False, kind="stable").index
    return pd.DataFrame(columns).reindex(order).fillna("")


def overview_markdown(rows: pd.DataFrame) -> str:
    """The table as Markdown; see :func:`overview`."""
    table = overview(rows)
    names = " / ".join(measure.label for measure in SHOWN)
    lines = [[names, *table.columns], ["---"] * (1 + len(table.columns))]
    lines += [[str(method), *map(str, cells)] for method, cells in zip(table.index, table.to_numpy(), strict=True)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(row: pd.Series[Any]) -> str:
    return " / ".join(f"{row[m.label]:.3f} ± {row[f'{m.label} ±']:.3f}" for m in SHOWN)
