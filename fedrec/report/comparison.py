"""A comparison on the terminal: means of settings, then differences with their verdicts."""

from __future__ import annotations

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from fedrec.analysis.comparison import NOISE
from fedrec.analysis.naming import SETTING
from fedrec.evaluation.table import MEASURES, MODEL, POPULAR

COLUMNS = ("measure", "difference", "interval", "better : worse", "d", "detectable", "p", "p seeds", "verdict")
RESULTS = """\
± is half of a 95 % interval: over seeds (Student's t) where a setting has several, else over users (bootstrap)."""
DIFFERENCES = """\
The first minus the second, on the same users; of several seeds every user's mean, then paired by user. Interval: 95 %
bootstrap over users. Better, worse: users with such a difference. d: mean over standard deviation of the differences.
Detectable: the smallest true difference that so many users show with 80 % power. p: randomisation test, of HR of one
seed McNemar's; corrected by Holm's method for all {rows} rows. p seeds: t-test over seeds, where both sides have
several; without it the verdict is of these runs, not of other seeds. Within noise: p or p seeds above 0.05, and two
runs that differ in the seed alone, whatever p: what a seed makes is the noise."""


def print_results(found: pd.DataFrame, runs: int) -> None:
    """Print the mean of every setting, and of most popular items.

    Args:
        found: As :func:`fedrec.analysis.summary.results` gives it.
        runs: Of how many runs.
    """
    table = Table(box=box.SIMPLE_HEAD, title=f"{runs} run{'s' * (runs != 1)} in test", title_justify="left")
    table.caption, table.caption_justify = RESULTS, "left"
    table.add_column(SETTING)
    table.add_column("seeds", justify="right")
    for measure in MEASURES:
        table.add_column(measure.label, justify="right")
    popular = found[found["model"] == POPULAR].drop_duplicates("measure").assign(**{SETTING: POPULAR, "seeds": ""})
    for setting, rows in pd.concat([popular, found[found["model"] == MODEL]]).groupby(SETTING, sort=False):
        cells = {str(row["measure"]): _with_half(row["mean"], row["half"]) for row in rows.to_dict("records")}
        seeds = str(rows["seeds"].iloc[0])
        table.add_row(str(setting), seeds, *(cells.get(measure.label, "") for measure in MEASURES))
    _console().print(table)


def print_differences(table: pd.DataFrame) -> None:
    """Print every comparison, one after another; only what is not within noise is bold.

    Args:
        table: As :func:`fedrec.analysis.comparison.differences` gives it.
    """
    console = _console()
    for (setting, against), rows in table.groupby([SETTING, "against"], sort=False):
        seeds, others = (int(rows[column].iloc[0]) for column in ("seeds", "seeds_against"))
        one = Table(
            box=box.SIMPLE_HEAD,
            collapse_padding=True,
            title=f"{setting} ({_seeds(seeds)}) against {against} ({_seeds(others)})",
        )
        one.title_justify = "left"
        for name in COLUMNS:
            one.add_column(name, justify="left" if name in ("measure", "verdict") else "right")
        for row in rows.to_dict("records"):
            cells = [
                row["measure"],
                f"{row['difference']:+.4f}",
                f"{row['low']:+.4f} to {row['high']:+.4f}",
                f"{row['gains']} : {row['losses']}",
                f"{row['effect']:+.2f}",
                f"{row['detectable']:.4f}",
                _p(row["p"]),
                _p(row["p_seeds"]),
                row["verdict"],
            ]
            one.add_row(*cells, style=None if row["verdict"] == NOISE else "bold")
        console.print(one)
    console.print(DIFFERENCES.format(rows=len(table)) if len(table) else "Nothing to compare with.")


def _console() -> Console:
    return Console(width=None if Console().is_terminal else 120, highlight=False)


def _seeds(count: int) -> str:
    return f"{count} seed{'s' * (count > 1)}"


def _with_half(mean: float, half: float) -> str:
    return f"{mean:.4f} ± {half:.4f}" if half == half else f"{mean:.4f}"


def _p(value: float) -> str:
    return "" if value != value else "< 0.001" if value < 0.001 else f"{value:.3f}"
