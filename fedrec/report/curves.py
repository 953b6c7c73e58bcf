"""Rounds that stay: how runs learned, a row per run and round, for figures of training without the runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from fedrec.files import write_text
from fedrec.report.rows import read_table
from fedrec.runs.folder import RunFolder
from fedrec.runs.round_table import read_rounds
from fedrec.runs.settings import ROUND, RUN

METRICS = ("val/hr_10", "val/ndcg_10", "val/popular_hr_10", "val/popular_ndcg_10", "train/loss")
MOST = 100  # rows of a run: more are not told apart on a figure


def curve_rows(folders: Iterable[Path]) -> pd.DataFrame:
    """Rounds of some runs.

    Args:
        folders: Run folders.

    Returns:
        One row per run and round: ``run``, ``round`` (from 1) and :data:`METRICS`, NaN where a round has no such
        figure. Of a run of more than :data:`MOST` rounds every k-th one, k as small as may be. ``val/…`` is measured on
        the item on which the best round is chosen: under protocols such as ``fedrecgel`` that is the test item.

    Raises:
        InputError: If a run's table of rounds is damaged.
    """
    parts = [pd.DataFrame({RUN: [], ROUND: [], **{name: [] for name in METRICS}})]
    for folder in folders:
        rounds = read_rounds(RunFolder(folder).metrics)
        figures = {name: rounds.column(name) or float("nan") for name in METRICS}
        every = -(-len(rounds) // MOST) or 1
        own = pd.DataFrame({RUN: folder.name, ROUND: range(1, len(rounds) + 1), **figures})
        parts.append(own[own[ROUND] % every == 0])
    return pd.concat(parts[1:] or parts, ignore_index=True)


def write_curves(rows: pd.DataFrame, file: Path) -> None:
    """Write rounds as CSV: five significant digits.

    Args:
        rows: As :func:`curve_rows` gives them.
        file: The file.
    """
    write_text(file, rows.to_csv(index=False, float_format="%.5g"))


def read_curves(file: Path) -> pd.DataFrame:
    """Read rounds that :func:`write_curves` wrote.

    Raises:
        InputError: If it is no such file.
    """
    return read_table(file, (RUN, ROUND, *METRICS), "rounds as `fedrec claims` writes them")
