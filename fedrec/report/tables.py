"""The tables of a report: results in test, differences user by user, training and traffic."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from fedrec.analysis.comparison import differences
from fedrec.analysis.naming import SETTING
from fedrec.analysis.statistics import over_seeds, unsteadiness
from fedrec.analysis.summary import costs, results
from fedrec.errors import InputError
from fedrec.evaluation.table import MEASURES, MODELS, POPULAR
from fedrec.report import page as html
from fedrec.report.study import OBJECTIVE, Study
from fedrec.runs.settings import RUN

ROWS = 12  # settings that a table shows before it folds the rest away


def results_table(study: Study) -> list[str]:
    """What was measured in test, with intervals; nothing if nothing was tested.

    Args:
        study: The runs.
    """
    table = results(study.best, study.ranks)
    if table.empty:
        return []
    measures = [measure.label for measure in MEASURES if measure.label in set(table["measure"])]
    cells = {
        (row[SETTING], row["model"], row["measure"]): _with_half(row["mean"], row["half"])
        for row in table.to_dict("records")
    }

    def rows(settings: Sequence[str]) -> list[list[str]]:
        """A row per setting and model; most popular, which no setting changes, once."""
        distinct: dict[tuple[str, ...], None] = {}
        for model in sorted(MODELS, key=lambda model: model != POPULAR):
            for setting in settings:
                row = [cells.get((setting, model, measure), "") for measure in measures]
                distinct[("all settings" if model == POPULAR else setting, model, *row)] = None
        order = {setting: place for place, setting in enumerate(["all settings", *settings])}
        return [list(row) for row in sorted(distinct, key=lambda row: order[row[0]]) if any(row[2:])]

    caption = (
        "± is half of a 95 % interval: over seeds (Student's t) where a setting has several, else over users "
        "(bootstrap). Mean-private: every client's private parameters replaced by their mean; what the model gains "
        "over it is personal."
    )
    head = ["setting", "ranked by", *measures]
    return [*_shortened(study, head, rows), html.paragraph(caption, "soft")]


def differences_table(study: Study, baseline: str | None) -> list[str]:
    """Verdicts, user by user; nothing if nothing was tested.

    Args:
        study: The runs.
        baseline: The setting that the others are held against; None: the first.
    """
    if not study.ranks:
        return []
    leading, everything = study.leading(ROWS), study.best[study.best[RUN].isin(study.ranks)]
    baseline = baseline or str(everything[SETTING].iloc[0])
    shown = study.best[study.best[SETTING].isin([*leading, baseline])]
    title = html.heading(3, "Differences, user by user")
    try:
        # What may stand in one study was decided before.
        table = differences(shown, study.ranks, baseline=baseline, mix_fingerprints=True)
    except InputError as error:
        return [title, html.paragraph(f"{error}.", "warn")]
    rows = [
        [
            row[SETTING],
            row["against"],
            row["measure"],
            f"{row['difference']:+.4f}",
            f"{row['low']:+.4f} to {row['high']:+.4f}",
            _p(row["p"]),
            row["verdict"],
            f"{row['detectable']:.4f}",
        ]
        for row in table.to_dict("records")
    ]
    head = ["setting", "against", "measure", "difference", "95 % interval", "p, corrected", "verdict", "detectable"]
    few = "" if len(leading) == len(study.settings) else f"The {ROWS} best settings on the selection item. "
    caption = (
        f"{few}The setting minus what it is held against, on the same users (each averaged over its seeds; interval: "
        f"bootstrap over users). p: randomisation test, corrected by Holm's method for {len(rows)} rows. Within noise: "
        "p, or where both have several seeds that of a t-test over them, is above 5 %; nothing shows which is better. "
        "Detectable: the smallest true difference that so many users show with 80 % power."
    )
    return [title, html.table(head, rows), html.paragraph(caption, "soft")]


def training_table(study: Study) -> list[str]:
    """The best round, steadiness, traffic and time of every setting.

    Args:
        study: The runs.
    """
    best = study.best.assign(unsteady=study.best[RUN].map(unsteadiness(study.frame, OBJECTIVE)))
    scores = over_seeds(best, [OBJECTIVE], [SETTING]).set_index(SETTING).to_dict("index")
    means = best.groupby(SETTING, observed=True)[["round", "unsteady"]].mean().to_dict("index")
    spent = costs(study.frame).to_dict("index")
    private = any(not pd.isna(cost["epsilon"]) for cost in spent.values())

    def row(setting: str) -> list[str]:
        """The cells of one setting."""
        score, cost, mean = scores[setting], spent[setting], means[setting]
        return [
            setting,
            _with_half(score["mean"], score["high"] - score["mean"]),
            "" if pd.isna(cost["rounds"]) else f"{mean['round']:.0f} of {cost['rounds']:.0f}",
            _number(mean["unsteady"], ".4f"),
            _traffic(cost["up"], cost["up touched"]),
            _traffic(cost["down"], cost["down touched"]),
            _number(cost["mflop"], ",.3g", " MFLOP"),
            _number(cost["total"], ",.0f", " MB"),
            _number(cost["left out"], ".0f"),
            _number(cost["seconds"], ".2f", " s"),
            *([_number(cost["epsilon"], ".3g")] if private else []),
        ]

    head = ["setting", "best NDCG@10, selection item", "best round", "unsteadiness", "up", "down", "arithmetic"]
    head += ["traffic of a run", "clients left out", "time a round", *(["epsilon"] if private else [])]
    caption = (
        "Means over seeds. Unsteadiness: by how much NDCG@10 jumps from round to round in the second half of training. "
        "Up, down and arithmetic are of one client in one round: whole item tables in float32, as the published codes "
        "send them (in brackets: only the rows of the client's own items, which tells the server what these are), and "
        "six operations for each parameter that a logit reads. 1 MB is 10^6 bytes. Traffic of a run: all clients and "
        "rounds, whole tables. Seconds include the evaluation."
        f"{' Epsilon: the privacy of a user that all rounds of a run have spent (inf: no noise).' if private else ''}"
    )
    tables = _shortened(study, head, lambda settings: [row(setting) for setting in settings])
    return [html.heading(3, "Training and traffic"), *tables, html.paragraph(caption, "soft")]


def _shortened(study: Study, head: Sequence[str], rows: html.RowsOf) -> list[str]:
    """A table of all settings or, where these are many, of the best ones with the whole table folded below."""
    everything = html.table(head, rows(study.settings))
    leading = study.leading(ROWS)
    if len(leading) == len(study.settings):
        return [everything]
    said = html.paragraph(f"The {ROWS} best of {len(study.settings)} settings on the selection item.", "soft")
    return [html.table(head, rows(leading)), said, html.folded(f"All {len(study.settings)} settings", everything)]


def _with_half(mean: float, half: float) -> str:
    return f"{mean:.4f} ± {half:.4f}" if half and not pd.isna(half) else f"{mean:.4f}"


def _number(value: float, form: str, unit: str = "") -> str:
    return "" if pd.isna(value) else f"{value:{form}}{unit}"


def _traffic(whole: float, touched: float) -> str:
    rows = f" ({_number(touched, '.3g')})" if touched < whole else ""
    return f"{_number(whole, '.3g', ' MB')}{rows}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
