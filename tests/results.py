"""README's tables, generated from the committed results: ``make results``.

Between ``<!-- results: NAME -->`` and ``<!-- end of results -->`` stands the table of ``notebooks/results/NAME.csv``.
``make results FROM="methods/filmtrust claim_runs/leak"`` first takes over what ``fedrec methods`` and ``fedrec claims``
left in these two: a row per run, and pages of claims with their numbers.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from fedrec.report.methods import markdown, method_table
from fedrec.report.rows import read_rows

ROOT = Path(__file__).parents[1]
README, RESULTS = ROOT / "README.md", ROOT / "notebooks" / "results"
PLACE = re.compile(r"(<!-- results: ([\w.-]+) -->\n)(.*?)(<!-- end of results -->\n)", re.DOTALL)


def generated(name: str) -> str:
    """The table of a file of results, as Markdown."""
    return f"\n{markdown(method_table(read_rows(RESULTS / f'{name}.csv')))}\n"


def rendered(text: str) -> str:
    """A page, its tables made anew."""
    return PLACE.sub(lambda found: f"{found[1]}{generated(found[2])}{found[4]}", text)


def main(folders: list[str]) -> None:
    """Take over results of folders of ``fedrec methods`` and ``fedrec claims``, and write README's tables."""
    RESULTS.mkdir(exist_ok=True)
    for folder in map(Path, folders):
        name, claims = folder.resolve().name, (folder / "claims.csv").exists()
        shutil.copyfile(folder / "results.csv", RESULTS / (f"runs_{name}.csv" if claims else f"methods_{name}.csv"))
        for kind in (".csv", ".md") if claims else ():
            shutil.copyfile(folder / f"claims{kind}", RESULTS / f"claims_{name}{kind}")
    README.write_text(rendered(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
