"""The points at which methods do best on validation: one table of what sweeps of equal budgets found."""

from __future__ import annotations

import shlex
from typing import Any

import pandas as pd
import yaml

from fedrec.evaluation.table import POPULAR, Measure
from fedrec.runs.settings import SHORT_NAMES

CHOSEN_BY = "chosen_by"
METRIC = "ndcg_10"
SHOWN = {"full": (Measure("ndcg", "full"), Measure("ndcg")), "sampled": (Measure("ndcg"), Measure("ndcg", "full"))}
POPULARS = (f"popular_{METRIC}", f"popular_full_{METRIC}")
# Options of a trial that its sweep does not search.
FIXED = {"config", "checkpoint.select", "data.protocol", "seed_everything"} | {
    *("trainer.max_epochs", "trainer.check_val_every_n_epoch"),
}


def points_markdown(rows: pd.DataFrame) -> str:
    """The points of one data set as Markdown, the best first.

    Args:
        rows: As :func:`fedrec.commands.points.points_of` gives them, of sweeps whose objective is NDCG@10.

    Returns:
        A line for every sweep, by the name of its method: what the trial that all unseen items chose reaches among
        them and among candidates, what the one that candidates chose does, on the validation item; the options of the
        former, or of the latter where none ranked among all; trials, and minutes of one process. A line of most popular
        items.
    """
    head = ["method", *(f"chosen by {kind}: {_names(kind)}" for kind in SHOWN), "options", "trials (stopped)", "min"]
    popular = rows.iloc[0][list(POPULARS)].rename(index=lambda name: name.removeprefix("popular_"))
    lines = [(_height(popular), [POPULAR, *(_figures(popular, kind) for kind in SHOWN), "", "", ""])]
    lines = [line for line in lines if not pd.isna(line[0])]
    for _, own in rows.groupby("sweep", sort=False):
        by, first = {str(row[CHOSEN_BY]): row for _, row in own.iterrows()}, own.iloc[0]
        figures = [_figures(by[kind], kind) if kind in by else "" for kind in SHOWN]
        about = [f"{first['trials']} ({first['stopped']})", f"{first['minutes']:.0f}"]
        lines.append((_height(first), [first["method"], *figures, options(first["command"]), *about]))
    lines.sort(key=lambda line: -line[0])
    table = [head, ["---"] * len(head), *(cells for _, cells in lines)]
    return "".join(f"| {' | '.join(map(str, cells))} |\n" for cells in table)


def options(command: str) -> str:
    """What a sweep searched, of the command of one of its trials, in few words.

    Example:
        >>> options("fedrec fit --config method/fcf.yaml --model.server.lam=0.012345 --seed_everything=1")
        'server lam 0.0123'
    """
    words = [word.removeprefix("--").partition("=") for word in shlex.split(command) if word.startswith("--")]
    return ", ".join(_said(key, yaml.safe_load(value)) for key, _, value in words if key not in FIXED)


def _said(key: str, value: Any) -> str:
    """An option and its value, a number in three digits; parts of a model that have options of one name keep theirs."""
    name = SHORT_NAMES.get(key, key.split(".", 1)[-1].replace(".", " ").replace("_", " "))
    return f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"


def _names(kind: str) -> str:
    return " / ".join(measure.label for measure in SHOWN[kind])


def _figures(row: pd.Series[Any], kind: str) -> str:
    names = [measure.name().removeprefix("test/") for measure in SHOWN[kind]]
    return " / ".join("" if pd.isna(row[name]) else f"{row[name]:.3f}" for name in names)


def _height(row: pd.Series[Any]) -> float:
    """By what lines are sorted: full NDCG@10, or sampled where none ranked among all."""
    full = row[f"full_{METRIC}"]
    return float(row[METRIC] if pd.isna(full) else full)
