"""Results that stay: what was measured of every run, with what it takes to measure it again, in a row each."""

from __future__ import annotations

import hashlib
import json
import shlex
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from fedrec.analysis.columns import experiment_settings
from fedrec.analysis.naming import settings_by_data
from fedrec.analysis.runs import run_folders
from fedrec.errors import InputError
from fedrec.evaluation.table import EXPOSURE, MEASURES, MODELS
from fedrec.files import write_text, written_on
from fedrec.runs.added import with_the_same_options
from fedrec.runs.changes import own_rates, settings_of
from fedrec.runs.costs import spent
from fedrec.runs.folder import RunFolder
from fedrec.runs.identity import deciding_settings
from fedrec.runs.plain import load_plain
from fedrec.runs.progress import done_rounds
from fedrec.runs.results import read_results
from fedrec.runs.settings import REFERENCE, RUN, SEED, flat_settings
from fedrec.runs.tested import is_tested, outdated

METHOD, CONFIGURATION, FINGERPRINT = "method", "configuration", "fingerprint"
ROUNDS = "trainer.max_epochs"
COSTS = ("bytes_up", "bytes_up_touched", "bytes_down", "bytes_down_touched", "operations", "round_seconds")
RESULTS = "results.csv"
# Options that say where files are: somebody else's are elsewhere.
PLACES = ("--data.root", "--data.path", "--trainer.default_root_dir")


def result_rows(folder: Path, commands: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """What was measured of every run of a folder that was tested as it is now; of others, a warning says so.

    Args:
        folder: Where the runs are.
        commands: Arguments of ``fedrec`` that made a run, by its id; those of other runs are the ones of their rows in
            the folder's ``results.csv``.

    Returns:
        One row per run, in order of methods and seeds: ``method`` (and what else differs within a method on one data
        set), ``run``, ``data``, ``protocol``, ``configuration`` (a hash of all settings that decide a run's state, but
        the seed, and of the number of rounds), ``fingerprint`` (of data and protocol; blank where the test did not
        write it), ``seed``, ``rounds`` (trained), ``best_round``, ``users``; every measure of :data:`MEASURES` of the
        model, of most popular items and of the mean-private model by the name of its metric (``hr_10``,
        ``popular_full_hr_10``), and half of its 95 % interval over users (``hr_10_half``); ``exposure_10`` likewise, if
        a run has it; costs of one client and round as :func:`fedrec.runs.costs.spent` names them; ``command`` (without
        where files are) and ``date`` of the test.

    Raises:
        InputError: If no run was tested, or a file of a run is damaged.
    """
    runs = [RunFolder(path) for path in run_folders(folder)]
    older = [*filter(None, map(outdated, runs))]
    for said in older:
        warnings.warn(f"left out: {said}", stacklevel=2)
    tested = [run for run in runs if is_tested(run)]
    if not tested:
        raise InputError(f"{folder}: no run was tested{' as it is now' * bool(older)}")
    configs = [load_plain(run.config) for run in tested]
    settings = with_the_same_options([settings_of(run) for run in tested])
    names = settings_by_data(pd.DataFrame([{RUN: run.id, **own} for run, own in zip(tested, settings, strict=True)]))
    before = _earlier_commands(folder / RESULTS)
    rows = [
        {METHOD: name, **_row(run, config), "command": _said(commands.get(run.id, [])) or before.get(run.id, "")}
        for name, run, config in zip(names, tested, configs, strict=True)
    ]
    table = pd.DataFrame(rows).sort_values([METHOD, "seed"], kind="stable", ignore_index=True)
    dates = table.pop("date")
    exposure = EXPOSURE.removeprefix("test/")
    if table[exposure].isna().all():  # nowhere was an item promoted
        table = table.drop(columns=[exposure, f"{exposure}_half"])
    return table.assign(date=dates)


def _earlier_commands(file: Path) -> dict[str, str]:
    """By run, the commands of rows that stand in a folder already: of runs that this command is not about."""
    if not file.is_file():
        return {}
    rows = read_rows(file).reindex(columns=[RUN, "command"])
    return {str(run): str(command) for run, command in zip(rows[RUN], rows["command"].fillna(""), strict=True)}


def _row(run: RunFolder, config: Mapping[str, Any]) -> dict[str, Any]:
    found = read_results(run.test)
    try:
        about = {name: found[name] for name in ("data", "protocol", "users")}
    except KeyError as error:
        raise InputError(f"{run.test}: holds no {error.args[0]}; expected what `fedrec test` writes") from None
    trained = REFERENCE not in config
    row = {
        RUN: run.id,
        "data": about["data"],
        "protocol": about["protocol"],
        CONFIGURATION: configuration_hash(config, own_rates(run)),
        FINGERPRINT: found.get(FINGERPRINT, ""),
        "seed": config.get(SEED, 0),
        "rounds": done_rounds(run) if trained else None,
        "best_round": found.get("rounds") if trained else None,
        "users": about["users"],
    }
    for name in (*(measure.name(model) for model in MODELS for measure in MEASURES), EXPOSURE):
        short = name.removeprefix("test/")
        low, high = found.get("intervals", {}).get(name, (float("nan"), float("nan")))
        row |= {short: found["metrics"].get(name), f"{short}_half": (high - low) / 2}
    costs = spent(run) if trained else {}
    return row | {name: costs.get(name) for name in COSTS} | {"date": written_on(run.test)}


def configuration_hash(config: Mapping[str, Any], own: Mapping[str, Any] = MappingProxyType({})) -> str:
    """A hash of what decides a run's state, but its seed, and of its number of rounds.

    Args:
        config: The resolved configuration.
        own: Rates of the run that are not the configuration's, see :func:`fedrec.runs.changes.own_rates`.

    Example:
        >>> same = [configuration_hash({"seed_everything": seed, "data": {"negatives": 4}}) for seed in (0, 1)]
        >>> same[0] == same[1] != configuration_hash({"seed_everything": 0, "data": {"negatives": 5}})
        True
    """
    deciding = deciding_settings(config) | dict(own)
    deciding[ROUNDS] = flat_settings(config).get(ROUNDS)
    told = {name: deciding[name] for name in experiment_settings(pd.DataFrame(columns=[*deciding]))}
    text = json.dumps(told, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _said(command: Sequence[str]) -> str:
    """A command as one types it, without where files are."""
    words = [word for word in command if word.partition("=")[0] not in PLACES]
    return shlex.join(["fedrec", *words]) if words else ""


def write_rows(table: pd.DataFrame, file: Path) -> None:
    """Write rows as CSV: six significant digits.

    Args:
        table: As :func:`result_rows` gives it.
        file: The file.
    """
    write_text(file, table.to_csv(index=False, float_format="%.6g"))


def read_rows(file: Path) -> pd.DataFrame:
    """Read rows that :func:`write_rows` wrote.

    Raises:
        InputError: If it is no such file.
    """
    return read_table(
        file,
        (METHOD, CONFIGURATION),
        "results as `fedrec methods` writes them",
        (CONFIGURATION, FINGERPRINT, "command"),
    )


def read_table(file: Path, needed: Sequence[str], what: str, texts: Sequence[str] = ()) -> pd.DataFrame:
    """Read a CSV of ours.

    Args:
        file: The file.
        needed: Columns that it must have; the first one and all of ``texts`` are read as text.
        what: What was expected of it, for the message.
        texts: Further columns of text, which may be missing; what looks like a number stays as it is.

    Raises:
        InputError: If it is no such file.
    """
    try:
        table = pd.read_csv(file, dtype=dict.fromkeys([*needed[:1], *texts], str))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: expected {what}: {' '.join(str(error).split())}") from None
    missing = [name for name in needed if name not in table]
    if missing:
        raise InputError(f"{file}: no column {missing[0]}; expected {what}")
    return table
