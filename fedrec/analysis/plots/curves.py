"""Metrics as training goes on: against rounds, and against what was sent."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fedrec.analysis.columns import context, label, require, series_name
from fedrec.analysis.plots import style
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
    """
    require(frame, metrics)
    figure, axes = style.panels(len(metrics))
    table = over_seeds(frame, metrics, [by, ROUND] if by else [ROUND])
    for ax, metric in zip(axes, metrics, strict=True):
        part = table[table["metric"] == metric]
        for name, look, curve in split_series(part, by):
            _band(ax, curve, ROUND, name, look)
        style.popularity_line(ax, frame, metric)
        style.fit_height(ax, table[table["metric"] == metric])
        ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        style.name_axes(ax, "communication round", label(metric))
        ax.margins(x=0.02)
    style.head(figure, title or context(frame), axes[0])
    style.caption(figure, f"{style.seeds_text(table)} {style.ranking_text(frame, metrics)}")
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
    """
    require(frame, [*metrics, "train/bytes_up", "train/bytes_down"])
    frame = frame.sort_values([RUN, ROUND])
    sent = (frame["train/bytes_up"] + frame["train/bytes_down"]).fillna(0) / 1e6
    frame = frame.assign(**{MEGABYTES: sent.groupby(frame[RUN]).cumsum()})
    figure, axes = style.panels(len(metrics))
    table = over_seeds(frame, [MEGABYTES, *metrics], [by, ROUND] if by else [ROUND])
    for ax, metric in zip(axes, metrics, strict=True):
        for name, look, curve in split_series(table, by):
            sent = curve[curve["metric"] == MEGABYTES].set_index(ROUND)["mean"]
            line = curve[curve["metric"] == metric]
            _band(ax, line.assign(**{MEGABYTES: line[ROUND].map(sent)}), MEGABYTES, name, look)
        style.popularity_line(ax, frame, metric)
        style.fit_height(ax, table[table["metric"] == metric])
        ax.set_xscale("log")
        style.log_ticks(ax.xaxis, (1.0, 2.0, 5.0))
        style.name_axes(ax, "sent so far, up and down [MB]", label(metric))
    style.head(figure, title or context(frame), axes[0])
    style.caption(figure, f"{style.seeds_text(table)} {style.ranking_text(frame, metrics)}")
    return figure


def split_series(table: pd.DataFrame, by: str | None) -> list[tuple[str, style.Look, pd.DataFrame]]:
    """Name, look and rows of every curve; without ``by`` there is one, the model."""
    if by is None:
        return [("model", style.looks([0])[0], table)]
    values = list(table[by].unique())
    return [
        (series_name(by, value), look, table[table[by] == value])
        for value, look in zip(values, style.looks(values), strict=True)
    ]


def _band(ax: Axes, curve: pd.DataFrame, x: str, name: str, look: style.Look) -> None:
    """A mean and its interval; markers stand at a few places, to tell curves apart without colour."""
    curve = curve.sort_values(x)
    every = max(1, len(curve) // 8)
    ax.plot(
        curve[x],
        curve["mean"],
        color=look.colour,
        linewidth=1.8,
        marker=look.marker,
        markersize=4.5,
        markevery=(every // 2, every),
        label=name,
    )
    ax.fill_between(curve[x], curve["low"], curve["high"], color=look.colour, alpha=0.18, linewidth=0)
