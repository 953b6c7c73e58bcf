"""Metrics as training goes on: against rounds, and against what was sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fedrec.analysis.columns import context, label, require
from fedrec.analysis.plots import layout, means, style
from fedrec.analysis.plots.series import Series, line_style, split_series
from fedrec.analysis.statistics import over_seeds
from fedrec.runs.settings import ROUND, RUN

ACCURACY = ("val/hr_10", "val/ndcg_10")
MEGABYTES = "megabytes"


def learning_curves(
    frame: pd.DataFrame, by: str | None = None, metrics: Sequence[str] = ACCURACY, title: str | None = None
) -> Figure:
    """Metrics per round, a panel each: mean over seeds with the interval as a band, and the popularity line.

    Args:
        frame: Runs, one row per (run, round).
        by: Column that tells the curves apart; None draws one curve.
        metrics: What to draw.
        title: Above the panels; by default what the runs have in common.

    Example:
        >>> runs = pd.DataFrame({"run": "a", "round": [0, 1], "val/hr_10": [0.1, 0.3]})
        >>> [line.get_ydata().tolist() for line in learning_curves(runs, metrics=["val/hr_10"]).axes[0].lines]
        [[0.1, 0.3]]
    """
    require(frame, metrics)
    table = over_seeds(frame, metrics, [by, ROUND] if by else [ROUND])
    figure, axes = style.panels(len(metrics))
    for ax, metric in zip(axes, metrics, strict=True):
        for series in split_series(table, by, metrics[0]):
            _band(ax, series, series.rows[series.rows["metric"] == metric], ROUND)
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        style.name_axes(ax, "communication round", label(metric))
        ax.margins(x=0.02)
    _finish(figure, axes, frame, table, metrics, title)
    return figure


def accuracy_against_megabytes(
    frame: pd.DataFrame, by: str | None = None, metrics: Sequence[str] = ACCURACY, title: str | None = None
) -> Figure:
    """Metrics against all bytes sent so far, up and down, by all clients together (10^6 bytes, log axis).

    Args:
        frame: Runs with ``train/bytes_up`` and ``train/bytes_down``, one row per (run, round).
        by: Column that tells the curves apart; None draws one curve.
        metrics: What to draw.
        title: Above the panels; by default what the runs have in common.

    Example:
        >>> runs = pd.DataFrame({"run": "a", "round": [1, 2], "val/hr_10": [0.1, 0.3]})
        >>> runs = runs.assign(**{"train/bytes_up": 1e6, "train/bytes_down": 3e6})
        >>> figure = accuracy_against_megabytes(runs, metrics=["val/hr_10"])
        >>> [line.get_xdata().tolist() for line in figure.axes[0].lines]
        [[4.0, 8.0]]
    """
    require(frame, [*metrics, "train/bytes_up", "train/bytes_down"])
    frame = frame.sort_values([RUN, ROUND])
    sent = (frame["train/bytes_up"] + frame["train/bytes_down"]).fillna(0) / 1e6
    frame = frame.assign(**{MEGABYTES: sent.groupby(frame[RUN]).cumsum()})
    table = over_seeds(frame, [MEGABYTES, *metrics], [by, ROUND] if by else [ROUND])
    figure, axes = style.panels(len(metrics))
    for ax, metric in zip(axes, metrics, strict=True):
        for series in split_series(table, by, metrics[0]):
            sent = series.rows[series.rows["metric"] == MEGABYTES].set_index(ROUND)["mean"]
            curve = series.rows[series.rows["metric"] == metric]
            _band(ax, series, curve.assign(**{MEGABYTES: curve[ROUND].map(sent)}), MEGABYTES)
        ax.set_xscale("log")
        style.log_ticks(ax.xaxis)
        style.name_axes(ax, "sent so far, up and down [MB]", label(metric))
    _finish(figure, axes, frame, table, metrics, title)
    return figure


def _band(ax: Axes, series: Series, curve: pd.DataFrame, x: str) -> None:
    """A mean and its interval; markers stand at a few places, to tell curves apart without colour."""
    curve = curve.sort_values(x)
    every = max(1, len(curve) // 8)
    marks: dict[str, Any] = {"marker": series.look.marker, "markersize": 4.5, "markevery": (every // 2, every)}
    ax.plot(curve[x], curve["mean"], label=series.name, **line_style(series), **(marks if series.named else {}))
    if series.named:
        ax.fill_between(curve[x], curve["low"], curve["high"], color=series.look.colour, alpha=0.14, linewidth=0)


def _finish(
    figure: Figure,
    axes: Sequence[Axes],
    frame: pd.DataFrame,
    table: pd.DataFrame,
    metrics: Sequence[str],
    title: str | None,
) -> None:
    """Baselines as lines, heights, title, legend and caption."""
    clipped = False
    for ax, metric in zip(axes, metrics, strict=True):
        means.popularity_line(ax, frame, metric)
        clipped |= means.fit_height(ax, table[table["metric"] == metric])
    layout.head(figure, title or context(frame), axes[0])
    beyond = " A band that reaches the edge goes on beyond it." if clipped else ""
    layout.caption(figure, f"{means.seeds_text(table)}{beyond} {means.ranking_text(frame, metrics)}".strip())
