"""The figures of a report: curves, traffic, and what the best rounds have to do with the settings that vary."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from fedrec.analysis.columns import label
from fedrec.analysis.naming import SETTING, varying_settings
from fedrec.analysis.plots import accuracy_against_megabytes, heat_map, learning_curves, sensitivity
from fedrec.analysis.plots.style import COLOURS
from fedrec.report import page as html
from fedrec.report.study import OBJECTIVE, Study

ACCURACY = ("val/hr_10", OBJECTIVE)


def figures(study: Study) -> list[str]:
    """All figures, as HTML.

    Args:
        study: The runs.
    """
    drawn = html.figures(_curves(study) | _swept(study))
    parts = [html.heading(3, "Curves"), drawn]
    if len(study.settings) > len(COLOURS):
        text = f"Curves: the {len(COLOURS)} best of {len(study.settings)} settings, by {label(OBJECTIVE)}."
        parts.append(html.paragraph(text, "soft"))
    return parts


def _curves(study: Study) -> dict[str, Figure]:
    """Metrics per round and per megabyte, of as many settings as there are colours."""
    rows = study.frame[study.frame[SETTING].isin(study.leading(len(COLOURS)))]
    rows = rows.assign(**{SETTING: rows[SETTING].cat.remove_unused_categories()})
    drawn = {
        f"{label(metric)} per round": learning_curves(rows, SETTING, [metric], f"{label(metric)} per round")
        for metric in (*ACCURACY, "train/loss")
        if metric in rows
    }
    if {"train/bytes_up", "train/bytes_down"} <= set(rows.columns):
        title = f"{label(OBJECTIVE)} against megabytes"
        drawn[title] = accuracy_against_megabytes(rows, SETTING, [OBJECTIVE], title)
    return drawn


def _swept(study: Study) -> dict[str, Figure]:
    """Figures of the best rounds, if one or two numbers vary."""
    varying = varying_settings(study.frame)
    if not all(pd.api.types.is_numeric_dtype(study.frame[column]) for column in varying):
        return {}
    if len(varying) == 1 and study.frame[varying[0]].nunique() > 2:
        titles = {f"{label(metric)} of the best round": metric for metric in ACCURACY if metric in study.frame}
        return {title: sensitivity(study.best, varying[0], None, [metric], title) for title, metric in titles.items()}
    if len(varying) == 2 and len(study.settings) > 4:
        title = f"{label(OBJECTIVE)} of the best round"
        return {title: heat_map(study.best, varying[0], varying[1], OBJECTIVE, title)}
    return {}
