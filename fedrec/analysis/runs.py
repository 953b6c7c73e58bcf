"""Runs as one tidy frame, from a folder of runs or from Weights & Biases."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from fedrec.errors import InputError
from fedrec.runs.settings import ROUND, RUN, flat_settings, is_metric

_PROJECT = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class _Run:
    """One run as either source gives it.

    Attributes:
        name: Its id.
        settings: Flat dotted configuration.
        history: One row per logged step, with a column ``round``.
        results: Figures of the whole run (``test/…``).
    """

    name: str
    settings: Mapping[str, Any]
    history: pd.DataFrame
    results: Mapping[str, float]


def load_runs(source: str | Path) -> pd.DataFrame:
    """Load runs: one row per (run, round).

    Columns are ``run`` (its id), ``round``, the union of the runs' settings as flat dotted keys
    (``model.client.rho_shared``; a class by its name, ``model.recommender`` = "NCF") and the metrics by their names
    (``val/hr_10``). What belongs to a whole run, settings and ``test/…``, is repeated in each of its rows. The frame is
    the same from both sources.

    Args:
        source: A folder that holds ``runs/<id>/`` or run folders, one run folder, or ``entity/project`` on W&B.

    Raises:
        InputError: The source holds no runs, or a run has no metrics or cannot be read.
    """
    path = Path(source)
    if path.is_dir():
        runs = list(_runs_of_folder(path))
        if not runs:
            raise InputError(f"{path}: no runs here; expected folders with metrics.csv in it or in its runs/")
    elif _PROJECT.fullmatch(str(source)):
        runs = list(_runs_of_project(str(source)))
    else:
        raise InputError(f"{source}: expected a folder of runs, or entity/project on W&B")
    return _tidy(runs)


def run_folders(folder: str | Path) -> list[Path]:
    """Run folders in a folder, in its ``runs/``, or the folder itself, in order of their ids.

    Args:
        folder: Where to look.
    """
    folder = Path(folder)
    for found in ([folder], [*folder.glob("runs/*/")], [*folder.glob("*/")]):
        found = sorted(path for path in found if (path / "config.yaml").exists() or (path / "metrics.csv").exists())
        if found:
            return found
    return []


def first_folders(frame: pd.DataFrame, source: str | Path, by: str) -> dict[str, Path]:
    """The folder of the first run with each value of a column, for what needs a checkpoint.

    Args:
        frame: Runs of a folder.
        source: The folder they were loaded from.
        by: The column.
    """
    folders = {path.resolve().name: path for path in run_folders(source)}
    firsts = frame.drop_duplicates(by)
    return {str(value): folders[run] for value, run in zip(firsts[by], firsts[RUN], strict=True)}


def _runs_of_folder(folder: Path) -> Iterator[_Run]:
    for path in run_folders(folder):
        yield _Run(path.resolve().name, _settings(path / "config.yaml"), _history(path), _results(path))


def _settings(path: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: missing; a run folder holds config.yaml and metrics.csv") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not a YAML file: {' '.join(str(error).split())}") from None
    if not isinstance(config, dict):
        raise InputError(f"{path}: expected the configuration of a run, a mapping")
    return flat_settings(config)


def _history(run: Path) -> pd.DataFrame:
    """Metrics and, where there are some, seconds per round: they stand in two files because seconds cannot repeat."""
    metrics = _table(run / "metrics.csv")
    if metrics.empty:
        raise InputError(f"{run / 'metrics.csv'}: no metrics; the run ended before its first round")
    if ROUND not in metrics:
        raise InputError(f"{run / 'metrics.csv'}: no column round; it was not made by fedrec")
    return pd.concat([metrics, _table(run / "timings.csv")], ignore_index=True)


def _table(path: Path) -> pd.DataFrame:
    try:
        # By way of text: numbers come back with the bits they were written from, whatever pandas' own default.
        return pd.read_csv(path, dtype=str).astype("float64")
    except (FileNotFoundError, pd.errors.EmptyDataError):
        return pd.DataFrame()
    except ValueError as error:  # also pandas' ParserError and UnicodeDecodeError
        raise InputError(f"{path}: not a table of numbers: {error}") from None


def _results(run: Path) -> dict[str, float]:
    return {name: value for name, value in tested(run).get("metrics", {}).items() if is_metric(name)}


def tested(run: str | Path) -> dict[str, Any]:
    """What ``fedrec test`` left in a run folder: the metrics and the rules under which they came about.

    Args:
        run: Run folder.

    Returns:
        The content of ``test.json``; empty if the run was not tested.

    Raises:
        InputError: The file cannot be read.
    """
    path = Path(run) / "test.json"
    if not path.exists():
        return {}
    try:
        report = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: not a JSON file: {error.msg}") from None
    if not isinstance(report, dict):
        raise InputError(f"{path}: expected the results of a test, names and values")
    return report


def _runs_of_project(project: str) -> Iterator[_Run]:
    """Runs of ``entity/project``, each with its whole history (``scan_history`` samples nothing)."""
    import wandb

    try:
        found = list(wandb.Api().runs(project, order="+created_at"))
    except (ValueError, wandb.Error, wandb.errors.CommError) as error:
        raise InputError(f"{project}: no such folder, and W&B answers: {error}") from None
    if not found:
        raise InputError(f"{project}: the project holds no runs")
    for run in sorted(found, key=lambda run: str(run.id)):
        history = pd.DataFrame(run.scan_history())
        if ROUND not in history:
            raise InputError(
                f"{project}/{run.id}: no metrics; the run ended before its first round, or is not fedrec's"
            )
        results = {name: value for name, value in run.summary.items() if name.startswith("test/")}
        yield _Run(str(run.id), flat_settings(run.config), history, results)


def _tidy(runs: Iterable[_Run]) -> pd.DataFrame:
    frames = [_rows(run) for run in runs]
    settings = _typed(pd.DataFrame([run.settings for run in runs], index=[run.name for run in runs]))
    settings = settings[sorted(settings.columns)]
    metrics = pd.concat(frames, ignore_index=True)
    metrics = metrics[[RUN, ROUND, *sorted(metrics.columns.difference([RUN, ROUND]))]]
    tidy = metrics.merge(settings, left_on=RUN, right_index=True, validate="many_to_one")
    order = [RUN, ROUND, *settings.columns, *metrics.columns[2:]]
    return tidy.loc[:, order].sort_values([RUN, ROUND], ignore_index=True)


def _rows(run: _Run) -> pd.DataFrame:
    """One row per round of a run: what was logged for a round in several steps is put together."""
    history = run.history
    kept = [name for name in history.columns if is_metric(name) and not name.startswith(("test/", "trainer/"))]
    values = history[[ROUND, *kept]].dropna(subset=[ROUND]).apply(pd.to_numeric, errors="coerce")
    rows: pd.DataFrame = values.groupby(ROUND).last().reset_index()
    rows[ROUND] = rows[ROUND].astype("int64")
    rows.insert(0, RUN, run.name)
    for name, value in run.results.items():
        rows[name] = float(value)
    return rows


def _typed(settings: pd.DataFrame) -> pd.DataFrame:
    """Give every column the type its values allow: the sources disagree on whether 1.0 is a whole number."""

    def typed(column: pd.Series[Any]) -> pd.Series[Any]:
        """The column as integers, numbers or, where not all are numbers, as it is."""
        numbers = [isinstance(v, int | float) and not isinstance(v, bool) for v in column.dropna()]
        if not numbers or not all(numbers):
            return column.astype(object).where(column.notna(), None)
        whole = column.notna().all() and all(float(value).is_integer() for value in column)
        return column.astype("int64" if whole else "float64")

    return settings.apply(typed) if len(settings.columns) else settings
