"""The tables of README and of the page beside the results, generated from the committed results: ``make results``.

Between ``<!-- results: NAME -->`` and ``<!-- end of results -->`` stand the tables of ``notebooks/results/NAME.csv``,
one for every data set and protocol in it. ``overview`` is one table of all data sets, from ``methods_DATA.csv``;
``overview_KIND`` (``tuned``, or a protocol) that from ``methods_DATA_KIND.csv``. ``make results
FROM="methods/filmtrust claim_runs/leak"`` first takes over what ``fedrec methods`` and ``fedrec claims`` left in these
two: a row per run, and pages of claims with their numbers.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pandas as pd

from fedrec.report.disclosure import AFTER, disclosure_markdown
from fedrec.report.methods import markdown, method_table
from fedrec.report.overview import overview_markdown
from fedrec.report.rows import FINGERPRINT, read_rows

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "notebooks" / "results"
PAGES = (ROOT / "README.md", RESULTS / "README.md")
OVERVIEW = "overview"
PLACE = re.compile(r"(<!-- results: ([\w.-]+) -->\n)(.*?)(<!-- end of results -->\n)", re.DOTALL)


def generated(name: str) -> str:
    """The tables of a file of results, as Markdown; with a headline each where there are several."""
    if name.startswith(OVERVIEW):
        return f"\n{overview_markdown(pd.concat([read_rows(path) for path in methods(name)]))}\n"
    rows = pd.read_csv(RESULTS / f"{name}.csv")
    if AFTER in rows:
        parts = [(part, disclosure_markdown(part)) for _, part in rows.groupby("data", sort=False)]
    else:
        rows = read_rows(RESULTS / f"{name}.csv")
        # References have no fingerprint of their own run; a file of one data set is one table.
        groups = (
            rows.groupby(FINGERPRINT, sort=False, dropna=False) if rows[FINGERPRINT].nunique() > 1 else [("", rows)]
        )
        parts = [(part, markdown(method_table(part))) for _, part in groups]
    heads = [f"{_about(part)}:\n\n" * (len(parts) > 1) for part, _ in parts]
    return "".join(f"\n{head}{table}" for head, (_, table) in zip(heads, parts, strict=True)) + "\n"


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
    return PLACE.sub(lambda found: f"{found[1]}{generated(found[2])}{found[4]}", text)


def main(folders: list[str]) -> None:
    """Take over results of folders of ``fedrec methods`` and ``fedrec claims``, and write the pages' tables."""
    RESULTS.mkdir(exist_ok=True)
    for folder in map(Path, folders):
        name, claims = folder.resolve().name, (folder / "claims.csv").exists()
        shutil.copyfile(folder / "results.csv", RESULTS / (f"runs_{name}.csv" if claims else f"methods_{name}.csv"))
        for kind in (".csv", ".md") if claims else ():
            shutil.copyfile(folder / f"claims{kind}", RESULTS / f"claims_{name}{kind}")
    for page in PAGES:
        page.write_text(rendered(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
