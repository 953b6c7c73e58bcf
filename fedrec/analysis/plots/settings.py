"""Final metrics against a setting: sensitivity to a number, and what each part of a method adds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from fedrec.analysis.columns import context, label, require
from fedrec.analysis.plots import style
from fedrec.analysis.plots.curves import ACCURACY, split_series
from fedrec.analysis.statistics import over_seeds
from fedrec.errors import InputError
from fedrec.runs.settings import SEED


def sensitivity(
    frame: pd.DataFrame,
    x: str,
    by: str | None = None,
    metrics: Sequence[str] = ACCURACY,
    title: str | None = None,
) -> Figure:
    """Metrics against one numeric setting on a log axis, 0 shown left of a break; a panel per metric.

    Args:
        frame: One row per run (see :func:`fedrec.analysis.statistics.select_round`).
        x: The setting, values of at least 0.
        by: Column that tells the curves apart; None draws one curve.
        metrics: What to draw.
        title: Above the panels; by default what the runs have in common.

    Raises:
        InputError: A column is missing or ``x`` is not a number of at least 0.
    """
    require(frame, [x, *metrics])
    if not pd.api.types.is_numeric_dtype(frame[x]) or frame[x].min() < 0:
        raise InputError(f"sensitivity: {x} must hold numbers of at least 0")
    figure, axes = style.panels(len(metrics))
    table = over_seeds(frame, metrics, [by, x] if by else [x])
    ticks = np.sort(table[x].unique())
    series = split_series(table, by)
    for ax, metric in zip(axes, metrics, strict=True):
        for (name, look, part), shift in zip(series, _dodge(len(series)), strict=True):
            part = part[part["metric"] == metric].sort_values(x)
            _points(ax, _places(part[x].to_numpy(), ticks) + shift, part, name, look, zero=part[x].iloc[0] == 0)
        style.popularity_line(ax, frame, metric)
        style.fit_height(ax, table[table["metric"] == metric])
        _log_axis_with_zero(ax, ticks)
        style.name_axes(ax, label(x), label(metric))
    style.head(figure, title or context(frame), axes[0])
    dotted = " Dotted: the level at 0." if ticks[0] == 0 else ""
    style.caption(figure, f"{style.seeds_text(table, 'Bars')}{dotted} {style.ranking_text(frame, metrics)}")
    return figure


def _places(values: np.ndarray, ticks: np.ndarray) -> np.ndarray:
    """Where values stand on an axis of decades, with 0 most of a decade left of the smallest positive value."""
    positive = ticks[ticks > 0]
    zero = np.log10(positive.min()) - 0.6 if len(positive) else 0.0
    return np.where(values > 0, np.log10(np.where(values > 0, values, 1.0)), zero)


def _dodge(count: int) -> np.ndarray:
    """Small sideways shifts that keep the bars of several series apart."""
    return (np.arange(count) - (count - 1) / 2) * min(0.03, 0.15 / count)


def _points(ax: Axes, places: np.ndarray, part: pd.DataFrame, name: str, look: style.Look, zero: bool) -> None:
    """Means with their intervals; the mean at 0 stands apart, and its level runs through the panel."""
    means = part["mean"].to_numpy()
    joined = np.where(np.arange(len(means)) == 0, np.nan, means) if zero else means
    ax.plot(places, joined, color=look.colour, linewidth=1.6)
    if zero:
        ax.axhline(means[0], color=look.colour, linewidth=1.1, linestyle=(0, (1, 2)), zorder=1.4)
    errors = np.nan_to_num((part["high"] - part["mean"]).to_numpy())
    ax.errorbar(
        places, means, errors, fmt=look.marker, color=look.colour, markersize=6, elinewidth=1.3, capsize=2.5, label=name
    )


def _log_axis_with_zero(ax: Axes, ticks: np.ndarray) -> None:
    """Ticks at the values themselves, and a break where the axis leaves the logarithm for 0."""
    places = _places(ticks, ticks)
    ax.set_xticks(places, [f"{value:g}" for value in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
    if (ticks == 0).any() and len(ticks) > 1:
        middle = places[0] + 0.3
        for offset in (-0.025, 0.025):
            ax.plot(
                [middle + offset - 0.02, middle + offset + 0.02],
                [-0.02, 0.02],
                transform=ax.get_xaxis_transform(),
                color=style.FAINT,
                linewidth=1,
                clip_on=False,
            )


def ablation(
    frame: pd.DataFrame,
    by: str,
    baseline: str,
    metrics: Sequence[str] = ACCURACY,
    title: str | None = None,
) -> Figure:
    """What each variant gains over a baseline: bars that start at the baseline's mean, with every seed as a dot.

    Bars from 0 would hide differences of a percent, bars cut off at the bottom would inflate them.

    Args:
        frame: One row per run.
        by: Column with the variant's name.
        baseline: The variant that the others are held against.
        metrics: What to draw, a panel each.
        title: Above the panels; by default what the runs have in common.

    Raises:
        InputError: A column or the baseline is missing.
    """
    require(frame, [by, *metrics])
    if baseline not in set(frame[by]):
        raise InputError(f"ablation: no run has {by} {baseline}; there are {', '.join(map(str, frame[by].unique()))}")
    table = over_seeds(frame, metrics, [by])
    names = [baseline, *(name for name in frame[by].unique() if name != baseline)]
    figure, axes = style.panels(len(metrics), height=0.6 + 0.5 * len(names))
    for ax, metric in zip(axes, metrics, strict=True):
        rows = table[table["metric"] == metric].set_index(by).loc[names]
        _bars(ax, rows, frame, by, metric)
        ax.set_yticks(range(len(names)), names if ax is axes[0] else [""] * len(names))
        style.name_axes(ax, label(metric), "")
    style.head(figure, title or context(frame))
    said = f"Bars start at {baseline}. Dots: seeds. {style.seeds_text(table, 'Whiskers')}"
    style.caption(figure, f"{said} {style.ranking_text(frame, metrics)}")
    return figure


def _bars(ax: Axes, rows: pd.DataFrame, frame: pd.DataFrame, by: str, metric: str) -> None:
    start, places = rows["mean"].iloc[0], np.arange(len(rows))
    colours = [look.colour for look in style.looks([str(name) for name in rows.index])]
    ax.barh(places, rows["mean"] - start, left=start, height=0.52, color=colours, alpha=0.55)
    ax.axvline(start, color=style.INK, linewidth=1)
    errors = np.nan_to_num((rows["high"] - rows["mean"]).to_numpy())
    ax.errorbar(rows["mean"], places, xerr=errors, fmt="none", ecolor=style.INK, elinewidth=1.2, capsize=3)
    for place, name in enumerate(rows.index):
        seeds = frame[frame[by] == name].sort_values(SEED) if SEED in frame else frame[frame[by] == name]
        ax.plot(seeds[metric], np.full(len(seeds), place), "o", color=colours[place], markersize=4, markeredgecolor="w")
        gain = "" if place == 0 else f" ({rows['mean'].iloc[place] - start:+.4f})"
        text = f"{rows['mean'].iloc[place]:.4f}{gain}"
        ax.annotate(text, (1, place), (4, 0), ("axes fraction", "data"), "offset points", va="center", fontsize=8.5)
    ax.invert_yaxis()
    ax.grid(False, axis="y")
    ax.margins(x=0.12)
    ax.tick_params(axis="y", length=0)
