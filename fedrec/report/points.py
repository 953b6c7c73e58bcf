"""The points at which methods do best on validation: one table of what sweeps of equal budgets found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from fedrec.evaluation.table import MODELS, POPULAR, Measure
from fedrec.runs.settings import SHORT_NAMES, said

CHOSEN_BY, OPTIONS = "chosen_by", "options"
SHOWN = {"full": (Measure("ndcg", "full"), Measure("ndcg")), "sampled": (Measure("ndcg"), Measure("ndcg", "full"))}
# Columns of these figures, and of those of most popular items.
COLUMNS = {kind: [m.name(stage="val").removeprefix("val/") for m in measures] for kind, measures in SHOWN.items()}
POPULARS = [f"{MODELS[POPULAR]}{name}" for name in COLUMNS["full"]]
TEXTS = ("method", "data", "protocol", "configuration", "fingerprint", OPTIONS, "command", "date")
NEEDED = (
    "sweep",
    CHOSEN_BY,
    "method",
    "data",
    "protocol",
    OPTIONS,
    "trials",
    "stopped",
    "minutes",
    *COLUMNS["full"],
    *POPULARS,
)


def points_markdown(rows: pd.DataFrame) -> str:
    """The points as Markdown, a table for every data set and protocol, the best methods first.

    Args:
        rows: As :func:`fedrec.commands.points.points_of` gives them.

    Returns:
        A line for every sweep, by the name of its method: what the trial that all unseen items chose reaches among
        them and among candidates, what the one that candidates chose does, on the validation item; the options of the
        former, or of the latter where none ranked among all; trials and minutes. A line of most popular items. With a
        headline each where there are several tables.
    """
    groups = list(rows.groupby(["data", "protocol"], sort=False, dropna=False))
    heads = [f"{data}, protocol `{protocol}`:\n\n" * (len(groups) > 1) for (data, protocol), _ in groups]
    return "\n".join(head + _table(own) for head, (_, own) in zip(heads, groups, strict=True))


def said_options(values: Mapping[str, Any]) -> str:
    """Options and their values in few words, numbers in three digits.

    Parts of a model may have options of one name, so an option keeps the names of its parts.

    Example:
        >>> said_options({"model.client.lam": 0.012345, "model.server.lam": 2, "data.negatives": 4})
        'client lam 0.0123, server lam 2, negatives 4'
    """
    return ", ".join(_said(key, value) for key, value in values.items())


def _said(key: str, value: Any) -> str:
    name = SHORT_NAMES.get(key, key.split(".", 1)[-1].replace(".", " "))
    short = float(f"{value:.3g}") if isinstance(value, float) else value
    return said(name, [short] if isinstance(short, Mapping) and "class_path" in short else short)


def _table(rows: pd.DataFrame) -> str:
    """The table of one data set under one protocol."""
    head = ["method", *(f"chosen by {kind}: {_labels(kind)}" for kind in SHOWN), OPTIONS, "trials (stopped)", "min"]
    popular = rows.iloc[0][POPULARS].rename(index=lambda name: name.removeprefix(MODELS[POPULAR]))
    lines = [(_height(popular), [POPULAR, *(_figures(popular, kind) for kind in SHOWN), "", "", ""])]
    lines = [line for line in lines if not pd.isna(line[0])]
    methods = rows.drop_duplicates("sweep")["method"]
    several = {*methods[methods.duplicated(keep=False)]}
    for sweep, own in rows.groupby("sweep", sort=False):
        by, first = {str(row[CHOSEN_BY]): row for _, row in own.iterrows()}, own.iloc[0]
        method = f"{first['method']} ({sweep})" if first["method"] in several else first["method"]
        figures = [_figures(by[kind], kind) if kind in by else "" for kind in SHOWN]
        about = [f"{first['trials']} ({first['stopped']})", f"{first['minutes']:.0f}"]
        options = str(first[OPTIONS]).replace("|", "\\|")
        lines.append((_height(first), [method, *figures, options, *about]))
    lines.sort(key=lambda line: -line[0])
    table = [head, ["---"] * len(head), *(cells for _, cells in lines)]
    return "".join(f"| {' | '.join(map(str, cells))} |\n" for cells in table)


def _labels(kind: str) -> str:
    return " / ".join(measure.label for measure in SHOWN[kind])


def _figures(row: pd.Series[Any], kind: str) -> str:
    return " / ".join("" if pd.isna(row[name]) else f"{row[name]:.3f}" for name in COLUMNS[kind])


def _height(row: pd.Series[Any]) -> float:
    """By what lines are sorted: full NDCG@10, or sampled where none ranked among all."""
    full, sampled = (row[name] for name in COLUMNS["full"])
    return float(sampled if pd.isna(full) else full)
