"""What the trials of a sweep found: the setting that each way of ranking would choose, as rows that stay."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fedrec.errors import InputError
from fedrec.report.points import CHOSEN_BY
from fedrec.report.rows import configuration_hash, read_table, write_rows, written_on
from fedrec.runs.fingerprint import read_fingerprint
from fedrec.runs.folder import RunFolder
from fedrec.runs.plain import load_plain
from fedrec.runs.round_table import Rounds, read_rounds
from fedrec.runs.settings import ROUND, SEED, flat_settings, method_name
from fedrec.sweep.driver import Driver
from fedrec.sweep.ledger import Trial

POINTS = "points.csv"
NEEDED, TEXTS = ("method", "sweep", CHOSEN_BY, "minutes"), ("configuration", "fingerprint", "command")
# An objective of which each round holds the value itself, and that among all unseen items beside it.
OBJECTIVE = re.compile(r"val/(?:full_)?(\w+)_best")


def write_points(driver: Driver, out: Path) -> None:
    """Write ``points.csv`` into the folder of a sweep whose objective is the best of a metric of ranking.

    Args:
        driver: The sweep and its trials, all ended.
        out: Its folder.

    Raises:
        InputError: If the run folder of a trial that is chosen is damaged.
    """
    objective = OBJECTIVE.fullmatch(driver.sweep.metric)
    rows = list(_points(driver, out, objective[1])) if objective else []
    if rows:
        write_rows(pd.DataFrame(rows), out / POINTS)


def points_of(folder: Path) -> pd.DataFrame:
    """The points of a folder of sweeps, one sweep after another; no rows if none of them has any.

    Raises:
        InputError: If a file of points is damaged.
    """
    what = "points as `fedrec sweep` writes them"
    tables = [read_table(file, NEEDED, what, TEXTS) for file in sorted(folder.glob(f"*/{POINTS}"))]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _points(driver: Driver, out: Path, metric: str) -> Iterator[dict[str, Any]]:
    """A row for each way of ranking in which the trials validated, the one that the search followed first."""
    folders = {trial.number: RunFolder(out / "runs" / trial.run) for trial in driver.trials if trial.best is not None}
    tables = {number: _rounds(folder) for number, folder in folders.items()}
    states = [trial.state for trial in driver.trials]
    about = {
        "sweep": driver.sweep.content.get("name", driver.sweep.path.stem),
        "trials": driver.ended,
        "stopped": states.count("stopped"),
        "failed": states.count("failed"),
        "minutes": sum(trial.seconds for trial in driver.trials) / 60,
    }
    names = {"full": f"full_{metric}", "sampled": metric}
    for kind in names if driver.sweep.among_all else ("sampled",):
        best = {number: _best(rounds, f"val/{names[kind]}") for number, rounds in tables.items()}
        number = max(best, key=lambda number: best[number][0], default=-1)  # the first of equals
        if number < 0 or best[number][1] < 0:
            continue
        rounds, place = tables[number], best[number][1]
        found = {ROUND: rounds.column(ROUND)[place]}
        for name in (model + name for name in names.values() for model in ("", "popular_")):
            found[name] = (rounds.column(f"val/{name}") or [math.nan] * len(rounds))[place]
        trial = next(trial for trial in driver.trials if trial.number == number)
        row = _row(folders[number], trial, driver.sweep.fit_arguments)
        yield row | about | {CHOSEN_BY: kind} | found | _made(folders[number], trial, driver.sweep.fit_arguments)


def _rounds(folder: RunFolder) -> Rounds:
    """A trial's rounds; none where they cannot be read, which the sweep has said."""
    try:
        return read_rounds(folder.metrics)
    except InputError:
        return Rounds([], [])


def _best(rounds: Rounds, name: str) -> tuple[float, int]:
    """The highest value of a column, and its place; -1 if there is none."""
    values = [(value, -place) for place, value in enumerate(rounds.column(name)) if math.isfinite(value)]
    value, place = max(values, default=(-math.inf, 1))
    return value, -place


def _row(folder: RunFolder, trial: Trial, arguments: Sequence[str]) -> dict[str, Any]:
    """What a run was, and how it is made again."""
    config = load_plain(folder.config)
    settings = flat_settings(config)
    return {
        "method": method_name(settings),
        "data": _data(arguments),
        "protocol": settings.get("data.protocol"),
        "configuration": configuration_hash(config),
        "fingerprint": read_fingerprint(folder),
        "seed": config.get(SEED, 0),
        "trial": trial.number,
    }


def _made(folder: RunFolder, trial: Trial, arguments: Sequence[str]) -> dict[str, str]:
    """How a run is made again, and when it was."""
    options = [f"--{key}={value}" for key, value in sorted(trial.parameters.items())]
    return {"command": shlex.join(["fedrec", "fit", *arguments, *options]), "date": written_on(folder.metrics)}


def _data(arguments: Sequence[str]) -> str:
    """Name of the data's configuration; blank if the sweep's command names none."""
    names = [Path(word).stem for word in arguments if word.removeprefix("--config=").startswith("data/")]
    return names[0] if names else ""
