"""The table of what was learned: gain over mean-private, popularity, strata, lists."""

from __future__ import annotations

from typing import Any

from fedrec.analysis.naming import SETTING
from fedrec.analysis.statistics import over_seeds
from fedrec.evaluation.learned import told_figures
from fedrec.evaluation.table import MODEL, POPULAR
from fedrec.report import page as html
from fedrec.report.study import Study
from fedrec.runs.folder import RunFolder
from fedrec.runs.settings import RUN
from fedrec.runs.tested import tested_results

CAPTION = (
    "± is half of a 95 % interval, as above; figures without one are of all users together. Gain: the model minus the "
    "mean-private model. Correlation: Spearman, of a user's order of candidates with their numbers of training rows. "
    "Coverage and Gini: over all items, of everybody's ten best unseen items. AUC: share of the unseen items that rank "
    "behind the held-out one. Head, middle and tail items: a third of the training rows each; small, medium and large "
    "clients: a third of the clients each, by training rows."
)


def learned_table(study: Study) -> list[str]:
    """What every setting learned, and most popular items beside it; nothing if no test says so.

    Args:
        study: The runs.
    """
    figures = {who: told_figures(model) for who, model in (("", MODEL), (POPULAR, POPULAR))}
    known = [name for names in figures.values() for name in names.values() if name in study.best]
    if not known:
        return []
    means = over_seeds(study.best, known, [SETTING]).to_dict("records")
    cells = {(str(row[SETTING]), str(row["metric"])): row for row in means}
    halves = _over_users(study)

    def cell(setting: str, name: str) -> str:
        """A mean, and half of its interval where it has one."""
        row: dict[Any, Any] | None = cells.get((setting, name))
        if row is None:
            return ""
        between = row["seeds"] > 1 and name not in figures[POPULAR].values()  # no seed changes these
        half = row["high"] - row["mean"] if between else halves.get((setting, name), 0)
        return f"{row['mean']:.4f} ± {half:.4f}" if half > 0 else f"{row['mean']:.4f}"

    first = study.settings[0]
    rows = [["all settings", POPULAR, *(cell(first, figures[POPULAR].get(label, "")) for label in figures[""])]]
    rows += [[setting, MODEL, *(cell(setting, name) for name in figures[""].values())] for setting in study.settings]
    head = ["setting", "ranked by", *figures[""]]
    shown = [row for row in rows if any(row[2:])]
    return [html.heading(3, "What was learned"), html.table(head, shown), html.paragraph(CAPTION, "soft")]


def _over_users(study: Study) -> dict[tuple[str, str], float]:
    """Half of each interval over users that a test has written, by setting and name."""
    setting_of = dict(zip(study.best[RUN], study.best[SETTING].astype(str), strict=True))
    return {
        (setting_of[run], name): (high - low) / 2
        for run, path in study.folders.items()
        for name, (low, high) in tested_results(RunFolder(path)).get("intervals", {}).items()
    }
