"""What the trials of a sweep found: the one that each way of ranking would choose, as rows that stay."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fedrec.errors import InputError
from fedrec.report.points import CHOSEN_BY, NEEDED, OPTIONS, TEXTS, said_options
from fedrec.report.rows import configuration_hash, read_table, write_rows
from fedrec.runs.fingerprint import read_fingerprint
from fedrec.runs.folder import RunFolder
from fedrec.runs.plain import load_plain
from fedrec.runs.round_table import Rounds, read_rounds
from fedrec.runs.settings import ROUND, SEED, flat_settings, method_name
from fedrec.sweep.driver import Driver
from fedrec.sweep.file import SweepFile
from fedrec.sweep.ledger import Trial

POINTS = "points.csv"
METRICS = {"full": "full_ndcg_10", "sampled": "ndcg_10"}
OBJECTIVES = {f"val/{metric}_best" for metric in METRICS.values()}


def write_points(driver: Driver, out: Path) -> None:
    """Write ``points.csv`` into the folder of a sweep that looks for the highest NDCG@10.

    A row for ``chosen_by`` full, if the trials ranked among all items, and one for sampled: the trial that is best by
    it, in the round that is. Columns ``sweep`` (name of its folder), ``method``, ``data``, ``protocol``,
    ``configuration`` and ``fingerprint`` as rows of results have them; ``trial``, ``seed``, ``round``; NDCG@10 of that
    round and of most popular items on the validation item (``ndcg_10``, ``popular_full_ndcg_10``, …); ``options``, what
    the sweep searched, in few words; ``trials``, how many of them were ``stopped`` early and ``failed``, and their
    ``minutes`` (of each its last process); the ``command`` of the trial, the ``date`` on which the last one ended.

    Args:
        driver: The sweep and its trials, all ended.
        out: Its folder.

    Raises:
        InputError: If the run folder of a trial that is chosen is damaged.
    """
    sweep = driver.sweep
    if not sweep.maximise or sweep.metric not in OBJECTIVES:
        return
    try:
        rows = list(_points(driver, out))
    except OSError as error:
        raise InputError(f"{out / POINTS}: not written, a chosen trial lacks a file: {error}") from None
    if rows:
        write_rows(pd.DataFrame(rows), out / POINTS)


def points_of(folders: Sequence[Path]) -> pd.DataFrame:
    """The points of sweeps, one after another; no rows if none of them has any.

    Raises:
        InputError: If a file of points is damaged.
    """
    files = [folder / POINTS for folder in folders if (folder / POINTS).exists()]
    tables = [read_table(file, NEEDED, "points as `fedrec sweep` writes them", TEXTS) for file in files]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _points(driver: Driver, out: Path) -> Iterator[dict[str, Any]]:
    sound = [trial for trial in driver.trials if trial.best is not None and trial.state != "failed"]
    folders = [RunFolder(out / "runs" / trial.run) for trial in sound]
    ranked = [(trial, folder, _rounds(folder)) for trial, folder in zip(sound, folders, strict=True)]
    states = [trial.state for trial in driver.trials]
    about: dict[str, float] = {
        "trials": driver.ended,
        "stopped": states.count("stopped"),
        "failed": states.count("failed"),
    }
    about["minutes"] = sum(trial.seconds for trial in driver.trials) / 60
    for kind, metric in METRICS.items():
        if kind == "full" and not driver.sweep.among_all:
            continue
        values = [
            (value, place, trial, folder, rounds)
            for trial, folder, rounds in ranked
            for place, value in enumerate(rounds.column(f"val/{metric}"))
            if math.isfinite(value)
        ]
        if values:
            _, place, trial, folder, rounds = max(values, key=lambda one: one[0])  # of equals the first
            made = {"command": _command(driver.sweep, trial), "date": driver.folder.ended_on}
            found = {CHOSEN_BY: kind, **_found(rounds, place), **about, **made}
            yield {"sweep": out.name, **_run(folder, driver.sweep), **_trial(trial, driver.sweep), **found}


def _rounds(folder: RunFolder) -> Rounds:
    """A trial's rounds; none where they cannot be read, which the sweep has said."""
    try:
        return read_rounds(folder.metrics)
    except InputError:
        return Rounds([], [])


def _found(rounds: Rounds, place: int) -> dict[str, float]:
    """A round, and what was measured in it."""
    names = [f"{model}{metric}" for metric in METRICS.values() for model in ("", "popular_")]
    missing = [math.nan] * len(rounds)
    values = {name: (rounds.column(f"val/{name}") or missing)[place] for name in names}
    return {ROUND: rounds.column(ROUND)[place], **values}


def _run(folder: RunFolder, sweep: SweepFile) -> dict[str, Any]:
    """What a run was."""
    config = load_plain(folder.config)
    settings = flat_settings(config)
    return {
        "method": method_name(settings) or sweep.name,
        "data": sweep.data,
        "protocol": settings.get("data.protocol"),
        "configuration": configuration_hash(config),
        "fingerprint": read_fingerprint(folder),
    }


def _trial(trial: Trial, sweep: SweepFile) -> dict[str, Any]:
    """Which trial it was, and what was searched."""
    searched = {key: value for key, value in trial.parameters.items() if key != SEED and sweep.space[key].is_open}
    return {"trial": trial.number, "seed": trial.parameters.get(SEED, 0), OPTIONS: said_options(searched)}


def _command(sweep: SweepFile, trial: Trial) -> str:
    """How a trial is made again."""
    values = {key: value if isinstance(value, str) else json.dumps(value) for key, value in trial.parameters.items()}
    options = [f"--{key}={value}" for key, value in sorted(values.items())]
    return shlex.join(["fedrec", "fit", *sweep.fit_arguments, *options])
