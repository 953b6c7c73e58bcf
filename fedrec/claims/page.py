"""The page of claims: what is claimed, what was measured under both protocols, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from fedrec.analysis.paired import LEVEL, holm
from fedrec.claims import verdict as rules
from fedrec.claims.figures import figure_named
from fedrec.evaluation.table import POPULAR

BAR = r"\|"  # a bar within a cell; bare, it would end the cell

RULES = f"""\
Every ± is half of a 95 % interval over users and training seeds; of a stratum, of steadiness and of flatness over
seeds alone. A claim is first measured under its authors' protocol. p is that of its difference there, in brackets
corrected (Holm) for all differences of the page; a verdict is of one claim alone, and where the correction would not
leave it, that is said beside it.

- **{rules.NOT_REPRODUCED}**: a claimed figure lies outside the interval, widened by the tolerance; a claimed
  difference is reversed, or its interval ends below what is claimed.
- **{rules.NOISE}**: the interval of the difference holds 0, and ends below what is claimed.
- **{rules.CANNOT}**: it holds both 0 and what is claimed, or the interval is wider than the claim's tolerance, or
  there is none (one run and no users).
- **{rules.LEAK}**: the claim holds, where training negatives avoid held-out items, and does not hold under `fair`.
- **{rules.POPULARITY}**: the claim holds, and the method is not above most popular items, user by user.
- **{rules.REPEATS}**: the claim holds, and the method is not above recommending what a user already has, user by user.
- **{rules.REPRODUCED}**: the claim holds, and none of these explains it.
"""


def page(title: str, table: pd.DataFrame, quick: bool = False) -> str:
    """The page as Markdown.

    Args:
        title: Headline.
        table: As :func:`fedrec.claims.gather.claims_table` gives it.
        quick: Whether the runs were cut short.
    """
    counts = table.drop_duplicates("claim")["verdict"].value_counts()
    summary = ", ".join(f"{counts[name]} {name}" for name in rules.VERDICTS if name in counts)
    lines = [f"# {title}", "", f"{table['claim'].nunique()} claims: {summary}.", ""]
    if quick:
        lines += ["**Runs of a few rounds, to see that everything works: these figures say nothing.**", ""]
    lines += ["| claim | claimed | under its authors' protocol | under `fair` | verdict |", "| --- " * 5 + "|"]
    corrected = _corrected(table)
    for name, rows in table.groupby("claim", sort=False):
        first, last = _records(rows)[0], _records(rows)[-1]
        about = f"`{first['claim']}`: {first['says']} ({first['source']})"
        measured = f"{first['protocol']}: {_measured(first)}"
        found = f"**{first['verdict']}**"
        if name in corrected:
            measured += f"; p {first['p']:.2g} ({corrected[name]:.2g})"
            found += ", not after correction" * (first["p"] <= LEVEL < corrected[name])
        fair = "the same" if first["protocol"] == last["protocol"] else _measured(last)
        cells = [about, _claimed(first), measured, fair, found]
        lines.append(f"| {' | '.join(cell.replace('|', BAR) for cell in cells)} |")
    return "\n".join([*lines, "", RULES])


def _corrected(table: pd.DataFrame) -> dict[object, float]:
    """The p-values of the claimed differences, corrected for their number, by claim."""
    first = table.drop_duplicates("claim").dropna(subset="p")
    return dict(zip(first["claim"], holm(first["p"].tolist()), strict=True))


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _claimed(row: Mapping[str, Any]) -> str:
    if pd.notna(row["value"]):
        return f"{row['data']}, {row['metric']} {row['value']:g} (within {row['tolerance']:g})"
    figure = figure_named(row["metric"])
    better = "above" if figure and figure.sign > 0 else "below"
    by = f" by {row['by']:g}" if pd.notna(row["by"]) else ""
    return f"{row['data']}, {row['metric']} {better} {row['than']}{by}"


def _measured(row: Mapping[str, Any]) -> str:
    """What was measured under one protocol, in a cell."""
    if pd.isna(row["figure"]):
        return "not measured"
    parts = [f"{row['figure']:.4g} ± {row['figure_half']:.2g}"]
    if pd.notna(row["difference"]):
        difference = f"{row['difference']:+.4f} ± {row['difference_half']:.4f}"
        parts.append(f"{row['than']} {row['other']:.4g}, difference {difference}")
    if pd.notna(row["over_popular"]) and row["than"] != POPULAR:
        over = f"{row['over_popular']:+.4f} ± {row['over_popular_half']:.4f}"
        parts.append(f"most popular {row['popular']:.4g}, over it {over}")
    if pd.notna(row["repeat"]):
        over = f"{row['over_repeat']:+.4f} ± {row['over_repeat_half']:.4f}"
        parts.append(f"repeat {row['repeat']:.4g}, over it {over}")
    parts.append(f"{row['seeds']:.0f} seed{'s' if row['seeds'] > 1 else ''}")
    return "; ".join(parts)
