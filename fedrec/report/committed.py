"""Committed results, shipped with the notebooks, and rows of results as a frame of runs for figures."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

import fedrec
from fedrec.evaluation.table import EXPOSURE, MEASURES, MODELS
from fedrec.report.rows import METHOD, read_rows
from fedrec.runs.settings import SEED

SHIPPED = Path(fedrec.__file__).parent / "shipped" / "notebooks" / "results"
OPTION = "--"


def committed(name: str, source: Path | str | None = None) -> pd.DataFrame:
    """Results as a frame of runs.

    Args:
        name: Of a shipped file of results, such as ``runs_privacy``.
        source: A ``results.csv`` of yours in its place.

    Raises:
        InputError: If it is no file of results.
    """
    return as_runs(read_rows(Path(source) if source else SHIPPED / f"{name}.csv"))


def as_runs(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of results with the columns of a frame of runs.

    Args:
        rows: As :func:`fedrec.report.rows.read_rows` gives them, one per run.

    Returns:
        The same rows. Measures are called as in frames of runs (``test/hr_10``, ``test/popular_hr_10``), the seed
        ``seed_everything``; every option of a row's command is a column of its dotted name (``model.privacy.epsilon``;
        NaN where a command does not say it); ``setting`` is what ``method`` was, a name for all runs but for the seed,
        and ``method`` the first part of it.

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
    """Dotted options of a command with their values: numbers where they are numbers, else text."""
    words = [] if pd.isna(command) else shlex.split(command)
    given = [word.removeprefix(OPTION).partition("=") for word in words if word.startswith(OPTION) and "=" in word]
    return {name: _value(value) for name, _, value in given if "." in name}


def _value(text: str) -> Any:
    value = yaml.safe_load(text)
    return value if isinstance(value, int | float) and math.isfinite(value) else text
