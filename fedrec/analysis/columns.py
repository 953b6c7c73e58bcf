"""The columns of a frame of runs: settings, metrics, and what to call them on a figure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from fedrec.errors import InputError
from fedrec.runs.settings import ROUND, SEED, is_metric

RADII = ["model.client.rho_shared", "model.client.rho_private"]

# Settings that change what a run computes; all others (paths, loggers, devices, callbacks) only change how.
_EXPERIMENT = re.compile(r"(model|data)(\.|$)|trainer\.max_epochs$")
_HOW = re.compile(r"\.seed$|^data\.root$|memory_budget_mib$")
_METRICS = {"hr": "HR", "ndcg": "NDCG", "mrr": "MRR"}
_METRIC = re.compile(r"(?:(?P<which>popular|mean_private)_)?(?P<full>full_)?(?P<name>hr|ndcg|mrr)_(?P<k>\d+)")
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
    """Columns that say what was computed (model, data, rounds), seeds left out."""
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


def methods(frame: pd.DataFrame) -> pd.Series[str]:
    """Name of each row's method: NCF with SAM is FedRecGEL, without it FedNCF; others go by their recommender.

    Args:
        frame: Runs, with the settings of recommender and client.

    Returns:
        Names, aligned with the rows.
    """
    require(frame, ["model.recommender", *RADII])
    shared, private = (frame[radius] > 0 for radius in RADII)
    joint = frame.get("model.client.perturb", pd.Series("separate", frame.index)) == "joint"
    ncf = frame["model.recommender"] == "NCF"
    sides = np.select(
        [~shared & ~private, joint, shared & private, shared],
        ["", " (one norm)", "", " (shared side)"],
        " (private side)",
    )
    base = np.where(ncf, np.where(shared | private, "FedRecGEL", "FedNCF"), frame["model.recommender"])
    sam = np.where(~ncf & (shared | private), " + SAM", "")
    return pd.Series(base.astype(object) + sam + sides, frame.index, dtype=str)


def one_sided_radii(frame: pd.DataFrame) -> pd.DataFrame:
    """The runs whose SAM has one radius: on the shared side alone, on the private side alone, or the same on both.

    Args:
        frame: Runs, one row each.

    Returns:
        The rows with the columns ``radius`` and ``side`` (``shared``, ``private`` or ``both``); runs without SAM stand
        once in each side that has other runs, at radius 0.
    """
    shared, private = RADII
    require(frame, RADII)
    parts = {
        "shared": frame[frame[private] == 0].assign(radius=frame[shared]),
        "private": frame[frame[shared] == 0].assign(radius=frame[private]),
        "both": frame[frame[shared] == frame[private]].assign(radius=frame[shared]),
    }
    kept = [part.assign(side=side) for side, part in parts.items() if (part["radius"] > 0).any()]
    return pd.concat(kept, ignore_index=True) if kept else parts["both"].assign(side="both")


def label(column: str) -> str:
    """What to call a column on a figure."""
    if column in _LABELS:
        return _LABELS[column]
    stage, _, name = column.partition("/")
    found = _METRIC.fullmatch(name.removesuffix("_best"))
    if not found:
        return column.rpartition(".")[2].replace("_", " ")
    text = f"{_METRICS[found['name']]}@{found['k']}"
    if stage == "test":
        text += " among all items" if found["full"] else " in test"
    return text + (" (best so far)" if name.endswith("_best") else "")


def series_name(column: str, value: object) -> str:
    """What to call the runs with one value of a column in a legend."""
    if isinstance(value, str):
        return value
    number = f"{value:g}" if isinstance(value, int | float | np.number) else str(value)
    return f"{_SYMBOLS.get(column) or label(column)} = {number}"


def context(frame: pd.DataFrame) -> str:
    """Data set, protocol and recommender that all rows have in common, for a title."""
    shared = [c for c in ("data", "data.protocol", "model.recommender") if c in frame and frame[c].nunique() == 1]
    parts = [str(frame[c].iloc[0]) for c in shared]
    return " · ".join(f"protocol {p}" if c == "data.protocol" else p for c, p in zip(shared, parts, strict=True))
