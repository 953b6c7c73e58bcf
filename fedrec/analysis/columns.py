"""The columns of a frame of runs: settings, metrics, and what to call them on a figure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from fedrec.errors import InputError
from fedrec.evaluation.table import MODEL, named
from fedrec.runs.settings import ROUND, SEED, is_metric

RADII = ["model.client.rho_shared", "model.client.rho_private"]

# Settings that change what a run computes; all others (paths, loggers, devices, callbacks) only change how.
_EXPERIMENT = re.compile(r"(model|data)(\.|$)|trainer\.max_epochs$")
_HOW = re.compile(r"\.seed$|^data\.(root|keep_split)$|memory_budget_mib$")
_SYMBOLS = {
    "model.client.rho_shared": "$\\rho_\\mathrm{shared}$",
    "model.client.rho_private": "$\\rho_\\mathrm{private}$",
    "data.client_fraction": "fraction",
}
_LABELS = {
    ROUND: "round",
    SEED: "seed",
    "train/loss": "training loss (binary cross-entropy)",
    "train/norm_shared": "norm of the mean upload",
    "train/norm_private": "norm of the private step",
    "model.client.rho_shared": "radius of the shared side, $\\rho_\\mathrm{shared}$",
    "model.client.rho_private": "radius of the private side, $\\rho_\\mathrm{private}$",
    "radius": "radius $\\rho$ of the perturbation",
    "model.client.lr": "client learning rate",
    "model.server.lr": "server learning rate",
    "model.client.local_epochs": "local epochs",
    "model.recommender.embedding_dim": "embedding size",
    "data.client_fraction": "share of the clients in a cohort",
}


def experiment_settings(frame: pd.DataFrame) -> list[str]:
    """Columns that say what was computed (model, data, rounds), seeds left out.

    Args:
        frame: Runs.

    Example:
        >>> experiment_settings(pd.DataFrame(columns=["run", "seed_everything", "model.client.lr", "data.root"]))
        ['model.client.lr']
    """
    return [c for c in frame.columns if _EXPERIMENT.match(c) and not is_metric(c) and not _HOW.search(c)]


def require(frame: pd.DataFrame, columns: Iterable[str]) -> None:
    """Check that a frame has columns.

    Raises:
        InputError: Naming the first that is missing and the ones that look most like it.
    """
    for column in columns:
        if column not in frame.columns:
            near = difflib.get_close_matches(column, [str(c) for c in frame.columns], n=3, cutoff=0.5)
            said = f"; did you mean {' or '.join(near)}?" if near else f"; the frame has {len(frame.columns)} columns"
            raise InputError(f"the runs have no column {column}{said}")


def one_sided_radii(frame: pd.DataFrame) -> pd.DataFrame:
    """The runs whose SAM has one radius: on the shared side alone, on the private side alone, or the same on both.

    Args:
        frame: Runs, one row each.

    Returns:
        The rows with the columns ``radius`` and ``side`` (``shared``, ``private`` or ``both``); runs without SAM stand
        once in each side that has other runs, at radius 0.

    Example:
        >>> runs = pd.DataFrame([[0.0, 0.0], [0.1, 0.0], [0.2, 0.2]], columns=RADII)
        >>> one_sided_radii(runs)[["side", "radius"]]
             side  radius
        0  shared     0.0
        1  shared     0.1
        2    both     0.0
        3    both     0.2
    """
    shared, private = RADII
    require(frame, RADII)
    parts = {
        "shared": frame[frame[private] == 0].assign(radius=frame[shared]),
        "private": frame[frame[shared] == 0].assign(radius=frame[private]),
        "both": frame[frame[shared] == frame[private]].assign(radius=frame[shared]),
    }
    drawn = [part.assign(side=side) for side, part in parts.items() if (part["radius"] > 0).any()]
    return pd.concat(drawn, ignore_index=True) if drawn else parts["both"].assign(side="both")


def label(column: str) -> str:
    """What to call a column on a figure.

    Args:
        column: A setting or a metric.

    Example:
        >>> [label(column) for column in ("model.client.lr", "val/hr_10", "test/full_hr_10")]
        ['client learning rate', 'HR@10', 'full HR@10 in test']
    """
    if column in _LABELS:
        return _LABELS[column]
    stage, _, name = column.partition("/")
    known = named(name.removesuffix("_best"))
    if not known:
        return column.rpartition(".")[2].replace("_", " ")
    model, measure = known
    who = "" if model == MODEL else f"{model}, "
    if stage == "test":
        return f"{who}{measure.label} in test"
    best = " (best so far)" if name.endswith("_best") else ""
    return f"{who}{measure.label.removeprefix('sampled ')}{best}"


def series_name(column: str, value: object) -> str:
    """What to call the runs with one value of a column in a legend."""
    if isinstance(value, str):
        return value
    number = f"{value:g}" if isinstance(value, int | float | np.number) else str(value)
    return f"{_SYMBOLS.get(column) or label(column)} = {number}"


def context(frame: pd.DataFrame) -> str:
    """Data set, protocol and recommender that all rows have in common, for a title."""
    shared = [
        c for c in ("data", "data.protocol", "model.recommender") if c in frame and frame[c].nunique(dropna=False) == 1
    ]
    parts = [str(frame[c].iloc[0]) for c in shared]
    return " · ".join(f"protocol {p}" if c == "data.protocol" else p for c, p in zip(shared, parts, strict=True))
