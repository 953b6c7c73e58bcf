"""What uploads disclose, of many runs: a row for every run and stage, and a table over seeds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fedrec.analysis.naming import settings_by_data
from fedrec.errors import InputError
from fedrec.files import written_on
from fedrec.report.methods import mean_and_half
from fedrec.report.rows import CONFIGURATION, FINGERPRINT, METHOD, configuration_hash
from fedrec.runs.added import with_the_same_options
from fedrec.runs.changes import own_rates, settings_of
from fedrec.runs.fingerprint import read_fingerprint
from fedrec.runs.folder import RunFolder
from fedrec.runs.plain import load_plain
from fedrec.runs.settings import RUN

ABOUT = ("data", "protocol", "seed", "checkpoint", "rounds", "round", "clients")
AFTER, STAGE = "after", "stage"


def disclosure_rows(folders: Sequence[Path]) -> pd.DataFrame:
    """What ``fedrec privacy`` measured of some runs.

    Args:
        folders: Run folders.

    Returns:
        One row per run and stage, in order of data, methods, seeds and stages: ``data``, ``method`` (and what else
        differs within a method on one data set), ``run``, ``protocol``, ``seed``, ``checkpoint``, ``rounds``,
        ``round``, ``clients``; ``configuration``, ``fingerprint`` and ``date``, as rows of results have them;
        ``stage`` (0: before all steps) and ``after``, its name; the area of every guess, and half of its 95 % interval
        over clients (``not 0, all others half``); NaN where there is none.

    Raises:
        InputError: If a run was not measured, or its fingerprint is damaged.
    """
    runs = [RunFolder(folder) for folder in folders]
    configs = [load_plain(run.config) for run in runs]
    settings = with_the_same_options([settings_of(run) for run in runs])
    named = settings_by_data(pd.DataFrame([{RUN: run.id, **own} for run, own in zip(runs, settings, strict=True)]))
    rows = []
    for run, config, method in zip(runs, configs, named, strict=True):
        try:
            found = json.loads(run.disclosure.read_text(encoding="utf-8"))
        except OSError:
            raise InputError(f"{run.path}: not measured; expected `fedrec privacy {run.path}` first") from None
        about = {"data": found["data"], METHOD: method, RUN: run.id, **{name: found[name] for name in ABOUT}}
        about |= {CONFIGURATION: configuration_hash(config, own_rates(run)), FINGERPRINT: read_fingerprint(run)}
        about["date"] = written_on(run.disclosure)
        stages = list(dict.fromkeys(area[AFTER] for area in found["areas"]))
        for place, stage in enumerate(stages):
            row = {**about, STAGE: place, AFTER: stage}
            for area in found["areas"]:
                if area[AFTER] == stage:
                    low, high = area["interval"] or (np.nan, np.nan)
                    row |= {area["guess"]: area["area"], f"{area['guess']} half": (high - low) / 2}
            rows.append(row)
    return pd.DataFrame(rows).sort_values(["data", METHOD, "seed", STAGE], kind="stable", ignore_index=True)


def disclosure_markdown(rows: pd.DataFrame) -> str:
    """A table as Markdown: a row for every method and stage on one data set.

    Args:
        rows: As :func:`disclosure_rows` gives them, of one data set. ± is half of a 95 % interval, Student's over
            seeds, or over clients where there is one seed or no seed changes it.
    """
    guesses = [str(name).removesuffix(" half") for name in rows if str(name).endswith(" half")]
    lines = [[METHOD, AFTER, "seeds", *(f"row {guess}" for guess in guesses)]]
    lines.append(["---"] * len(lines[0]))
    for (method, _, stage), own in rows.groupby([METHOD, STAGE, AFTER], sort=False):
        cells = [_cell(*mean_and_half(own[guess], own[f"{guess} half"])) for guess in guesses]
        lines.append([str(method), str(stage), f"{len(own)}", *cells])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(mean: float, half: float) -> str:
    if pd.isna(mean):
        return ""
    return f"{mean:.3f}" if pd.isna(half) or half < 0.0005 else f"{mean:.3f} ± {half:.3f}"
