"""What the report says about the runs on one data set under one protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from fedrec.analysis.columns import context, experiment_settings, label
from fedrec.analysis.plots import accuracy_against_megabytes, heat_map, learning_curves, sensitivity
from fedrec.analysis.runs import tested
from fedrec.analysis.statistics import over_seeds, select_round, unsteadiness
from fedrec.analysis.summary import MEASURES, SETTING, costs, differences, results, settings
from fedrec.analysis.users import tested_ranks
from fedrec.report import page as html
from fedrec.runs.settings import RUN, is_metric

CURVES = 7  # settings whose curves can be told apart on one figure
ACCURACY, OBJECTIVE = ("val/hr_10", "val/ndcg_10"), "val/ndcg_10"
PROTOCOLS = {
    "fair": "One row per user and item. A user's newest item is the test item, the second newest the validation item; "
    "equal times are ordered by a seeded hash. The best round is picked on the validation item.",
    "fedrecgel": "As the published code does it: duplicate rows stay, so a test item may also be in its user's "
    "training rows, and the best round is picked on the test item itself. Figures under it are optimistic and compare "
    "with the paper's alone.",
    "legacy-negatives": "Training negatives avoid the held-out items too, which tells the model what they are. For "
    "comparison with papers that do so, not for conclusions.",
}


@dataclass(frozen=True)
class Study:
    """Runs on one data set under one protocol.

    Attributes:
        frame: One row per (run, round), with a column ``setting``.
        folders: Run folders by run, where there are some.
        ranks: Per-user ranks by run, where a run was tested.
    """

    frame: pd.DataFrame
    folders: Mapping[str, Path]
    ranks: Mapping[str, pd.DataFrame]

    @classmethod
    def of(cls, rows: pd.DataFrame, folders: Mapping[str, Path]) -> Study:
        """The study of some rows of a frame of runs."""
        own = {run: folders[run] for run in rows[RUN].unique() if run in folders}
        frame = rows.dropna(axis=1, how="all").assign(**{SETTING: settings(rows)})
        return cls(frame.sort_values(SETTING, key=_in_reading_order, kind="stable"), own, tested_ranks(own.values()))

    @property
    def best(self) -> pd.DataFrame:
        """One row per run, its best round."""
        return select_round(self.frame, "best", OBJECTIVE).sort_values(SETTING, key=_in_reading_order, kind="stable")


def _in_reading_order(names: pd.Series[str]) -> pd.Series[str]:
    """Keys that sort names by their words and, within them, by the size of their numbers."""
    return names.str.replace(r"[\d.]+(?:e-?\d+)?", lambda found: f"{float(found[0]):020.9f}", regex=True)


def sections(study: Study) -> list[str]:
    """All parts, as HTML."""
    return [
        html.heading(2, context(study.frame) or "Runs"),
        *_protocol(study),
        *_results(study),
        *_differences(study),
        *_figures(study),
        *_training(study),
        *_audit(study),
        *_configuration(study),
    ]


def _protocol(study: Study) -> list[str]:
    name = str(study.frame["data.protocol"].iloc[0]) if "data.protocol" in study.frame else ""
    said = [html.paragraph(PROTOCOLS[name], "soft")] if name in PROTOCOLS else []
    about = next((found for path in study.folders.values() if (found := tested(path))), None)
    if about and {"users", "items", "candidates"} <= about.keys():
        text = (
            f"{about['users']:,} users. Sampled: ranked among {about['candidates']} items that the user never touched; "
        )
        said.append(html.paragraph(f"{text}all items: among the {about['items']:,} items but those seen.", "soft"))
    return said


def _results(study: Study) -> list[str]:
    found = results(study.best, study.ranks)
    missing = study.best[RUN][~study.best[RUN].isin(study.ranks)]
    parts = [html.heading(3, "Results in test")]
    if len(missing) and study.folders:
        run = study.folders[missing.iloc[0]]
        text = f"{len(missing)} of {len(study.best)} runs were not tested: `fedrec test --resume {run}` does it."
        parts.append(html.paragraph(text, "warn"))
    if found.empty:
        return parts
    measures = [name for name in MEASURES if name in set(found["measure"])]
    rows: list[list[str]] = []
    for setting in study.frame[SETTING].unique():
        for model in ("most popular", "model", "mean-private"):
            group = found[(found[SETTING] == setting) & (found["model"] == model)].set_index("measure")
            cells = [_with_half(group["mean"].get(name), group["half"].get(name)) for name in measures]
            row = ["all settings" if model == "most popular" else setting, model, *cells]
            rows += [row] if len(group) and row not in rows else []
    caption = (
        "± is half of a 95 % interval: over seeds (Student's t) where a setting has several, else over users "
        "(bootstrap). Mean-private: every client's private parameters replaced by their mean; what the model gains "
        "over it is personal."
    )
    return [*parts, html.table(["setting", "ranked by", *measures], rows), html.paragraph(caption, "soft")]


def _with_half(mean: float | None, half: float | None) -> str:
    if mean is None or pd.isna(mean):
        return ""
    return f"{mean:.4f} ± {half:.4f}" if half and not pd.isna(half) else f"{mean:.4f}"


def _differences(study: Study) -> list[str]:
    if not study.ranks:
        return []
    found = differences(study.best, study.ranks)
    rows = [
        [
            row[SETTING],
            row["against"],
            f"{row['difference']:+.4f}",
            f"{row['low']:+.4f} to {row['high']:+.4f}",
            f"{row['detectable']:.4f}",
            row["verdict"],
        ]
        for row in found.to_dict("records")
    ]
    head = ["setting", "against", "difference", "95 % interval", "detectable", "verdict"]
    caption = (
        "NDCG@10 among sampled candidates, the setting minus what it is held against, on the same users (averaged over "
        "the seeds that both have; bootstrap over users). A difference smaller than the detectable one (power 0.8) is "
        "within the noise: so many users cannot show it."
    )
    return [html.heading(3, "Differences, user by user"), html.table(head, rows), html.paragraph(caption, "soft")]


def _figures(study: Study) -> list[str]:
    best = over_seeds(study.best, [OBJECTIVE], [SETTING]).sort_values("mean", ascending=False)
    shown = best[SETTING].head(CURVES)
    rows = study.frame[study.frame[SETTING].isin(shown)]
    drawn = {
        f"{label(metric)} per round": learning_curves(rows, SETTING, [metric], f"{label(metric)} per round")
        for metric in (*ACCURACY, "train/loss")
        if metric in rows
    }
    if {"train/bytes_up", "train/bytes_down"} <= set(rows.columns):
        title = "NDCG@10 against megabytes"
        drawn[title] = accuracy_against_megabytes(rows, SETTING, [OBJECTIVE], title)
    parts = [html.heading(3, "Curves"), html.figures(drawn | _swept(study))]
    if len(shown) < len(best):
        parts.append(html.paragraph(f"Curves: the {CURVES} best of {len(best)} settings, by NDCG@10.", "soft"))
    return parts


def _swept(study: Study) -> dict[str, Figure]:
    """What the best rounds have to do with the settings that vary, if these are one or two numbers."""
    varying = [column for column in experiment_settings(study.frame) if study.frame[column].nunique(dropna=False) > 1]
    if not all(pd.api.types.is_numeric_dtype(study.frame[column]) for column in varying):
        return {}
    if len(varying) == 1 and study.frame[varying[0]].nunique() > 2:
        titles = {f"{label(metric)} of the best round": metric for metric in ACCURACY}
        return {title: sensitivity(study.best, varying[0], None, [metric], title) for title, metric in titles.items()}
    if len(varying) == 2 and study.frame[SETTING].nunique() > 4:
        title = f"{label(OBJECTIVE)} of the best round"
        return {title: heat_map(study.best, varying[0], varying[1], OBJECTIVE, title)}
    return {}


def _training(study: Study) -> list[str]:
    best = study.best.assign(unsteady=study.best[RUN].map(unsteadiness(study.frame, OBJECTIVE)))
    scores = over_seeds(best, [OBJECTIVE], [SETTING]).set_index(SETTING)
    means = best.groupby(SETTING)[["round", "unsteady"]].mean()
    rows = []
    spent = costs(study.frame)
    for setting in spent.index.astype(str):
        score, cost = scores.loc[setting], spent.loc[setting]
        rows.append(
            [
                setting,
                _with_half(score["mean"], score["high"] - score["mean"]),
                f"{means['round'][setting] + 1:.0f} of {cost['rounds']:.0f}",
                _number(means["unsteady"][setting], ".4f"),
                _number(cost["up"], ".3g", " MB"),
                _number(cost["down"], ".3g", " MB"),
                _number(cost["total"], ",.0f", " MB"),
                _number(cost["left out"], ".0f"),
                _number(cost["seconds"], ".2f", " s"),
            ]
        )
    head = ["setting", "best NDCG@10, selection item", "best round", "unsteadiness", "up a round", "down a round"]
    caption = (
        "Means over seeds. Unsteadiness: by how much NDCG@10 jumps from round to round in the second half of training. "
        "Traffic: shared parameters in float32, all clients of a round together; 1 MB is 10^6 bytes. Seconds include "
        "the evaluation."
    )
    table = html.table([*head, "traffic of a run", "clients left out", "time a round"], rows)
    return [html.heading(3, "Training and traffic"), table, html.paragraph(caption, "soft")]


def _number(value: float, form: str, unit: str = "") -> str:
    return "" if pd.isna(value) else f"{value:{form}}{unit}"


def _audit(study: Study) -> list[str]:
    for folder in study.folders.values():
        if (folder / "audit.txt").exists():
            text = (folder / "audit.txt").read_text(encoding="utf-8")
            return [html.heading(3, "Data audit"), html.verbatim(text)]
    return []


def _configuration(study: Study) -> list[str]:
    frame = study.frame.drop(columns=SETTING)
    columns = [column for column in frame.columns if column not in (RUN, "round") and not is_metric(column)]
    same = [column for column in columns if frame[column].nunique(dropna=False) == 1]
    rows = [[column, _value(frame[column].iloc[0])] for column in same]
    parts = [html.heading(3, "Configuration")]
    varying = [column for column in columns if column not in same]
    if varying:
        runs = frame.drop_duplicates(RUN)
        each = [[run, *map(_value, values)] for run, *values in runs[[RUN, *varying]].to_numpy().tolist()]
        parts.append(html.folded(f"What varies: {', '.join(varying)}", html.table(["run", *varying], each)))
    options = html.table(["option", "value"], rows)
    parts.append(html.folded(f"What all runs have in common: {len(same)} options that are not null", options))
    return parts


def _value(value: Any) -> str:
    if isinstance(value, float) and not pd.isna(value):
        return f"{value:g}"
    return "null" if pd.isna(value) else str(value)
