"""Committed results, shipped with the notebooks, and results of yours in their place: frames of runs for figures."""

from __future__ import annotations

import math
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

import fedrec
from fedrec.analysis.naming import SETTING, methods, settings
from fedrec.analysis.runs import load_runs
from fedrec.analysis.statistics import select_round
from fedrec.analysis.summary import costs
from fedrec.evaluation.table import EXPOSURE, MEASURES, MODELS
from fedrec.report.curves import read_curves
from fedrec.report.rows import METHOD, read_rows
from fedrec.runs.plain import load
from fedrec.runs.settings import RUN, SEED, flat_settings

SHIPPED = Path(fedrec.__file__).parent / "shipped" / "notebooks" / "results"
CONFIGURATIONS = Path(fedrec.__file__).parent / "configs"
OPTION = "--"
RESULTS = "results.csv"
# Costs of one client and round as rows of results name them, and how tables of costs do.
COSTS = {"bytes_up": ("up", 1e6), "bytes_down": ("down", 1e6), "round_seconds": ("seconds", 1)}


def committed(name: str, source: Path | str | None = None) -> pd.DataFrame:
    """Results as a frame of runs, one row per run.

    Args:
        name: Of a shipped file of results, such as ``runs_privacy``.
        source: Results of yours in its place: a folder that ``fedrec claims`` or ``fedrec methods`` left, a folder of
            runs, or ``entity/project`` on W&B; of runs the best round counts.

    Returns:
        See :func:`as_runs`; runs of yours have the same columns, those of a test if they were tested.

    Raises:
        InputError: If it is neither.
    """
    file = _file(name, RESULTS, source)
    return _best_rounds(str(source)) if file is None else as_runs(read_rows(file))


def committed_rounds(name: str, source: Path | str | None = None) -> pd.DataFrame:
    """How runs learned, as a frame of runs with one row per run and round.

    Args:
        name: Of a shipped file of claims, such as ``fedrecgel``.
        source: As :func:`committed` takes it.

    Returns:
        What :func:`fedrec.report.curves.curve_rows` tells of a round, with all that :func:`as_runs` tells of its run.

    Raises:
        InputError: If it is neither.
    """
    file = _file(f"curves_{name}", "curves.csv", source)
    if file is None:
        rounds = load_runs(str(source))
        return rounds.assign(**{SETTING: settings(rounds), METHOD: methods(rounds)})
    return read_curves(file).merge(committed(f"runs_{name}", source), on=RUN, validate="many_to_one")


def committed_claims(name: str, source: Path | str | None = None) -> pd.DataFrame | None:
    """Claims with what was measured for each, and the verdict.

    Args:
        name: Of a shipped file of claims, such as ``fedrecgel``.
        source: As :func:`committed` takes it.

    Returns:
        As :func:`fedrec.claims.gather.claims_table` gives it; None if the source holds runs of no file of claims.
    """
    file = _file(f"claims_{name}", "claims.csv", source)
    return read_rows(file) if file else None


def _file(name: str, own: str, source: Path | str | None) -> Path | None:
    """The shipped file of a name, or a source's own; None: the source has none, such as a folder of runs."""
    if source is None:
        return SHIPPED / f"{name}.csv"
    return Path(source) / own if (Path(source) / own).exists() else None


def _best_rounds(source: str) -> pd.DataFrame:
    rounds = load_runs(source)
    spent = costs(rounds.assign(**{SETTING: rounds[RUN]}))
    best = select_round(rounds).set_index(RUN)
    best = best.assign(**{name: spent[column] * unit for name, (column, unit) in COSTS.items()}, rounds=spent["rounds"])
    best = best.reset_index()
    return best.assign(**{SETTING: settings(best), METHOD: methods(best)})


def as_runs(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of results with the columns of a frame of runs.

    Args:
        rows: As :func:`fedrec.report.rows.read_rows` gives them, one per run.

    Returns:
        The same rows. Measures are called as in frames of runs (``test/hr_10``, ``test/popular_hr_10``), the seed
        ``seed_everything``; every option that a row's command says, or a shipped configuration that it names, is a
        column of its dotted name (``model.privacy.epsilon``; NaN where neither says it); ``setting`` is what ``method``
        was, a name for all runs but for the seed, and ``method`` the first part of it.

    Example:
        >>> row = {"method": "FedNCF, epsilon 8", "seed": 0, "hr_10": 0.4}
        >>> row["command"] = "fedrec fit --config=method/fedncf.yaml --model.privacy.epsilon=8.0"
        >>> as_runs(pd.DataFrame([row]))[["setting", "method", "test/hr_10", "model.privacy.epsilon"]]
                     setting  method  test/hr_10  model.privacy.epsilon
        0  FedNCF, epsilon 8  FedNCF         0.4                    8.0
    """
    measures = [EXPOSURE, *(measure.name(model) for model in MODELS for measure in MEASURES)]
    runs = rows.rename(columns={**{name.removeprefix("test/"): name for name in measures}, "seed": SEED})
    options = pd.DataFrame([_options(command) for command in rows["command"]], index=rows.index)
    new = [name for name in options if name not in runs]
    return runs.assign(setting=rows[METHOD], **{METHOD: rows[METHOD].str.partition(", ")[0]}).join(options[new])


def _options(command: Any) -> dict[str, Any]:
    """Dotted options of a command and its configurations, with values: numbers where they are numbers, else text."""
    words = [] if pd.isna(command) else shlex.split(command)
    options: dict[str, Any] = {}
    for name, _, value in (word.removeprefix(OPTION).partition("=") for word in words if word.startswith(OPTION)):
        if name == "config":
            options |= _configured(value)
        elif "." in name:
            options[name] = _value(value)
    return options


@cache
def _configured(name: str) -> dict[str, Any]:
    """Dotted options of a shipped configuration; none if it is not one."""
    file = CONFIGURATIONS / name
    return {key: value for key, value in flat_settings(load(file)).items() if "." in key} if file.is_file() else {}


def _value(text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:  # a text with brackets or colons in it
        return text
    return value if isinstance(value, int | float) and math.isfinite(value) else text
