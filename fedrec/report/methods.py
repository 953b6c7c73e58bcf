"""One table of methods: results over seeds, and what a client and a round cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from fedrec.analysis.naming import SETTING, settings
from fedrec.analysis.runs import read_runs, run_folders
from fedrec.analysis.summary import costs, results
from fedrec.analysis.users import tested_ranks
from fedrec.errors import InputError
from fedrec.evaluation.table import MEASURES, MODEL, POPULAR
from fedrec.runs.settings import RUN

KILOBYTES = {"up", "up touched", "down"}
SPENT = {
    "rounds": "rounds",
    "up": "up kB",
    "up touched": "touched rows kB",
    "down": "down kB",
    "mflop": "MFLOP",
    "seconds": "s a round",
}


def method_table(folder: Path) -> pd.DataFrame:
    """Every setting of a folder of runs that was tested, and most popular items, in a row each.

    Args:
        folder: Where the runs are.

    Returns:
        Columns ``method``, ``seeds``; a mean and half of its 95 % interval for every measure (``sampled HR@10``,
        ``sampled HR@10 ±``, …), over seeds, or over users where there is one seed or no seed changes it; ``rounds`` and
        the costs of one client and round as :func:`~fedrec.analysis.summary.costs` names them, bytes in thousands.
        Sorted by full NDCG@10, the best first.

    Raises:
        InputError: If no run can be read, or none was tested.
    """
    frame, _ = read_runs(folder)
    frame = frame.assign(**{SETTING: settings(frame)})
    runs = frame.drop_duplicates(RUN)  # what was measured in test stands in all rows of a run
    found = _measured(runs, tested_ranks(run_folders(folder)))
    spent = costs(frame)
    rows = []
    for setting, own in found.groupby(SETTING, sort=False):
        row: dict[str, Any] = {"method": setting, "seeds": own["seeds"].iloc[0] if setting != POPULAR else None}
        for line in own.to_dict("records"):
            row |= {str(line["measure"]): line["mean"], f"{line['measure']} ±": line["half"]}
        if setting in spent.index:  # 10^6 bytes there: a list of items would not show
            row |= {str(n): v * 1e3 if n in KILOBYTES else v for n, v in spent.loc[setting, list(SPENT)].items()}
        rows.append(row)
    if not rows:
        raise InputError(f"{folder}: no run was tested")
    table = pd.DataFrame(rows)
    return table.sort_values(MEASURES[-1].label, ascending=False, kind="stable", ignore_index=True)


def _measured(runs: pd.DataFrame, ranks: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """What was measured of every setting, and of most popular items, which are the same in every run."""
    by = [SETTING, "model", "measure"]
    found = results(runs, ranks).set_index(by)
    # One run of each setting, with its interval over users, in place of one of no width over seeds.
    alone = results(runs[runs[RUN].isin(ranks)].drop_duplicates(SETTING), ranks).set_index(by)
    found["half"] = found["half"].where(found["half"] > 0, alone["half"])
    models, popular = found.reset_index(), alone.reset_index()
    models = models[models["model"] == MODEL].astype({SETTING: str})
    popular = popular[popular["model"] == POPULAR].drop_duplicates("measure")
    return pd.concat([models, popular.assign(**{SETTING: POPULAR})])


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def markdown(table: pd.DataFrame) -> str:
    """The table as Markdown.

    Args:
        table: As :func:`method_table` gives it.
    """
    head = ["method", "seeds", *(measure.label for measure in MEASURES), *SPENT.values()]
    lines = [head, ["---"] * len(head)]
    for row in table.to_dict("records"):
        measured = [f"{row[m.label]:.4f} ± {row[f'{m.label} ±']:.4f}" for m in MEASURES]
        spent = [_short(row[name]) if pd.notna(row.get(name)) else "" for name in SPENT]
        seeds = f"{row['seeds']:.0f}" if pd.notna(row["seeds"]) else ""
        lines.append([str(row["method"]), seeds, *measured, *spent])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
