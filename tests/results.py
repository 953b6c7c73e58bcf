"""The tables of README, ``docs`` and the page beside the results, made from the committed results: ``make results``.

Between ``<!-- results: NAME -->`` and ``<!-- end of results -->`` stand the tables of ``notebooks/results/NAME.csv``,
one for every data set and protocol in it; settings that all rows of one share stand above it. ``results: NAME, by
name`` leaves the rows in the order of the settings; else the best come first. ``overview`` is one table of all data
sets, from ``methods_DATA.csv``; ``overview_KIND`` (``tuned``, or a protocol) that from ``methods_DATA_KIND.csv``;
``printed_NAME`` is a table as a command printed it, beside which it stands: benchmarks, the demo; ``printed_figures``,
written by hand, holds figures that these say in words. ``points_DATA`` is what sweeps of that data set found.
``make results FROM="methods/filmtrust claim_runs/leak found.json"`` first takes over what ``fedrec methods`` and
``fedrec claims`` left in these two, a row per run and pages of claims with their numbers and curves, what a folder of
sweeps found (``sweep_runs/operating_point_DATA_full``), and what ``fedrec data audit`` or ``fedrec data leaks`` printed
with ``--json``. Methods and sweeps that the folder does not have stay as they are.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pandas as pd

from fedrec.analysis.naming import reading_order
from fedrec.commands.points import points_of
from fedrec.report.disclosure import AFTER, disclosure_markdown
from fedrec.report.methods import markdown, method_table
from fedrec.report.overview import overview_markdown
from fedrec.report.points import CHOSEN_BY, points_markdown
from fedrec.report.rows import CONFIGURATION, FINGERPRINT, METHOD, read_rows, read_table, write_rows
from tests import data_results

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "notebooks" / "results"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), RESULTS / "README.md")
OVERVIEW, PRINTED, POINTS, BY_NAME = "overview", "printed_", "points_", ", by name"
PLACE = re.compile(rf"(<!-- results: ([\w.-]+)({BY_NAME})? -->\n)(.*?)(<!-- end of results -->\n)", re.DOTALL)


def generated(name: str, by_name: bool = False) -> str:
    """The tables of a file of results, as Markdown; with a headline each where there are several."""
    if name.startswith(OVERVIEW):
        return f"\n{overview_markdown(pd.concat([read_rows(path) for path in methods(name)]))}\n"
    if name.startswith(PRINTED):
        return _as_printed(pd.read_csv(RESULTS / f"{name}.csv", dtype=str, keep_default_na=False))
    rows = pd.read_csv(RESULTS / f"{name}.csv")
    if name.startswith(POINTS):
        return f"\n{points_markdown(rows)}\n"
    if name in (data_results.AUDITS, data_results.LEAKS):
        return f"\n{data_results.table(name, rows)}\n"
    if AFTER in rows:
        groups = [part for _, part in rows.groupby("data", sort=False)]
        parts = [("", part, disclosure_markdown(part)) for part in groups]
        return _headed(parts)
    rows = read_rows(RESULTS / f"{name}.csv")
    # References have no fingerprint of their own run; a file of one data set is one table.
    if rows[FINGERPRINT].nunique() <= 1:
        return _headed([("", rows, _table(rows, by_name))])
    shared = [_shared(part) for _, part in rows.groupby(FINGERPRINT, sort=False, dropna=False)]
    return _headed([(words, part, _table(part, by_name)) for words, part in shared])


def _as_printed(table: pd.DataFrame) -> str:
    """A table of texts as it is; a column without a name has none."""
    heads = ["" if str(name).startswith("Unnamed: ") else str(name) for name in table.columns]
    lines = [heads, ["---"] * len(heads), *table.to_numpy().tolist()]
    return "\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def _headed(parts: list[tuple[str, pd.DataFrame, str]]) -> str:
    """Tables, with a headline each where there are several."""
    heads = [f"{_about(rows)}{shared}:\n\n" * (len(parts) > 1) for shared, rows, _ in parts]
    return "".join(f"\n{head}{table}" for head, (_, _, table) in zip(heads, parts, strict=True)) + "\n"


def _table(rows: pd.DataFrame, by_name: bool) -> str:
    table = method_table(rows)
    if by_name:
        table = table.sort_values("method", key=lambda names: names.map(reading_order(names).index), ignore_index=True)
    return markdown(table)


def _shared(rows: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """The settings that the names of all rows say, and the rows without them in their names."""
    rows = rows.assign(**{METHOD: rows[METHOD].str.replace(f", protocol {rows['protocol'].iloc[0]}", "")})
    said = [str(name).split(", ")[1:] for name in rows[METHOD]]
    shared = [word for word in said[0] if all(word in words for words in said)]
    without = rows[METHOD].map(lambda name: ", ".join(word for word in str(name).split(", ") if word not in shared))
    return "".join(f", {word}" for word in shared), rows.assign(**{METHOD: without})


def methods(name: str) -> list[Path]:
    """Files of results with which an overview is made, the data sets' names in their order."""
    kind = name.removeprefix(OVERVIEW)
    data = sorted(
        path.stem.removeprefix("methods_").removesuffix(kind) for path in RESULTS.glob(f"methods_*{kind}.csv")
    )
    return [RESULTS / f"methods_{one}{kind}.csv" for one in data if "_" not in one]


def _about(rows: pd.DataFrame) -> str:
    return f"{rows['data'].iloc[0]}, protocol `{rows['protocol'].iloc[0]}`"


def rendered(text: str) -> str:
    """A page, its tables made anew."""
    return PLACE.sub(lambda found: f"{found[1]}{generated(found[2], bool(found[3]))}{found[5]}", text)


def _take_over(folder: Path) -> None:
    """Copy what a folder of runs came to."""
    points = points_of(sorted(folder.iterdir()))
    if len(points):
        if points["data"].nunique() != 1 or not points[CHOSEN_BY].eq("full").any():
            sys.exit(f"{folder}: expected sweeps of one data set, with --select full")
        _join(points, RESULTS / f"{POINTS}{points['data'].iloc[0]}.csv", ["sweep", CHOSEN_BY])
        return
    if not (folder / "results.csv").exists() or folder.resolve().name.endswith("-quick"):
        sys.exit(f"{folder}: expected a folder of fedrec methods, claims or sweeps, whole ones, without --quick")
    name, claims = folder.resolve().name, (folder / "claims.csv").exists()
    if not claims:
        _join(read_rows(folder / "results.csv"), RESULTS / f"methods_{name}.csv", [METHOD, "seed"])
        return
    shutil.copyfile(folder / "results.csv", RESULTS / f"runs_{name}.csv")
    for kind in (".csv", ".md"):
        shutil.copyfile(folder / f"claims{kind}", RESULTS / f"claims_{name}{kind}")
    if (folder / "curves.csv").exists():
        shutil.copyfile(folder / "curves.csv", RESULTS / f"curves_{name}.csv")


def _join(rows: pd.DataFrame, file: Path, order: list[str]) -> None:
    """Write rows beside those that stand in the file of methods or sweeps that the new ones do not have."""
    if file.exists():
        texts = (CONFIGURATION, FINGERPRINT, "command", "options")
        others = read_table(file, order, "results that were taken over before", texts)
        rows = pd.concat([others[~others[order[0]].isin(rows[order[0]])], rows])
        if rows[FINGERPRINT].dropna().nunique() > 1:
            sys.exit(
                f"{file}: its rows are of other data or another protocol; remove it, or take over all methods anew"
            )
    write_rows(rows.sort_values(order, kind="stable"), file)


def main(sources: list[str]) -> None:
    """Take over results of folders that commands of fedrec left, and of JSON; write the pages' tables."""
    RESULTS.mkdir(exist_ok=True)
    paths = [Path(source) for source in sources]
    data_results.take_over([path for path in paths if path.suffix == ".json"], RESULTS)
    for folder in (path for path in paths if path.suffix != ".json"):
        _take_over(folder)
    for page in PAGES:
        page.write_text(rendered(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
