"""Final metrics against a number: how sensitive a method is to a setting, or what a limit on it costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from fedrec.analysis.columns import context, label, require
from fedrec.analysis.plots import layout, means, style
from fedrec.analysis.plots.curves import ACCURACY
from fedrec.analysis.plots.series import Series, line_style, split_series
from fedrec.analysis.statistics import over_seeds
from fedrec.errors import InputError

Floats = NDArray[np.float64]

_BARS = 24  # points up to which each has a bar of its own; the bars of more would run together
_BREAK = 0.6  # decades between the numbers that have a logarithm and 0, or infinity


def sensitivity(
    frame: pd.DataFrame,
    x: str,
    by: str | None = None,
    metrics: Sequence[str] = ACCURACY,
    title: str | None = None,
) -> Figure:
    """Metrics against one number on a log axis, 0 and infinity beyond a break; a panel per metric.

    Args:
        frame: One row per run (see :func:`fedrec.analysis.statistics.select_round`).
        x: The setting or cost, values of at least 0.
        by: Column that tells the curves apart; None draws one curve.
        metrics: What to draw.
        title: Above the panels; by default what the runs have in common.

    Raises:
        InputError: A column is missing or ``x`` is not a number of at least 0.

    Example:
        >>> rates = pd.DataFrame({"run": ["a", "b"], "model.client.lr": [0.1, 0.2], "val/hr_10": [0.3, 0.4]})
        >>> sensitivity(rates, "model.client.lr", metrics=["val/hr_10"]).axes[0].get_xlabel()
        'client learning rate'
    """
    require(frame, [x, *metrics])
    if not pd.api.types.is_numeric_dtype(frame[x]) or frame[x].min() < 0:
        raise InputError(f"sensitivity: {x} must hold numbers of at least 0")
    table = over_seeds(frame, metrics, [by, x] if by else [x])
    ticks = np.sort(table[x].unique())
    figure, axes = style.panels(len(metrics))
    clipped = False
    for ax, metric in zip(axes, metrics, strict=True):
        all_series = split_series(table, by, metrics[0])
        parts = [series.rows[series.rows["metric"] == metric].sort_values(x) for series in all_series]
        at = [_places(part[x].to_numpy(), ticks) + shift for part, shift in zip(parts, _dodge(all_series), strict=True)]
        for series, places, part in zip(all_series, at, parts, strict=True):
            _points(ax, places, part, series, apart=_apart(part[x].to_numpy()))
        means.popularity_line(ax, frame, metric)
        clipped |= means.fit_height(ax, table[table["metric"] == metric])
        for series, places, part in zip(all_series, at, parts, strict=True):
            if series.named and len(places) <= _BARS:
                means.mark_clipped(ax, places, part, series.look.colour)
        _log_axis_with_ends(ax, ticks)
        style.name_axes(ax, label(x), label(metric))
    layout.head(figure, title or context(frame), axes[0])
    beyond = " What reaches the edge (arrow heads) goes on beyond it." if clipped else ""
    ends = " and ".join(_said(end) for end in ticks[_apart(ticks)])
    dotted = f" Dotted: the level at {ends}." if ends else ""
    shown = means.seeds_text(table, "Bars" if len(ticks) <= _BARS else "Bands")
    layout.caption(figure, f"{shown}{beyond}{dotted} {means.ranking_text(frame, metrics)}".strip())
    return figure


def _apart(values: Floats) -> NDArray[np.bool_]:
    """Which values have no place on a log axis: 0 and infinity."""
    return np.asarray((values == 0) | np.isinf(values))


def _said(value: float) -> str:
    return "∞" if np.isinf(value) else f"{value:g}"


def _places(values: Floats, ticks: Floats) -> Floats:
    """Where values stand on an axis of decades, with 0 and infinity most of a decade beyond the others."""
    decades = np.log10(ticks[~_apart(ticks)])
    lowest, highest = (decades[0], decades[-1]) if len(decades) else (0.0, 0.0)
    places = np.log10(np.where(_apart(values), 1.0, values))
    places = np.where(values == 0, lowest - _BREAK, places)
    return np.where(np.isinf(values), highest + _BREAK, places)


def _dodge(all_series: Sequence[Series]) -> Floats:
    """Small sideways shifts that keep the bars of several series apart."""
    count = sum(series.named for series in all_series)
    shifts = (np.arange(len(all_series)) - (count - 1) / 2) * min(0.03, 0.15 / count)
    return np.where([series.named for series in all_series], shifts, 0.0)


def _points(ax: Axes, places: Floats, part: pd.DataFrame, series: Series, apart: NDArray[np.bool_]) -> None:
    """Means with their intervals; those at 0 and infinity stand ``apart``, and their levels run through the panel."""
    heights = part["mean"].to_numpy()
    joined = np.where(apart, np.nan, heights)
    if not series.named:
        ax.plot(places, joined, label=series.name, **line_style(series))
        return
    colour = series.look.colour
    many = len(places) > _BARS
    ax.plot(places, joined, label=series.name if many else None, **line_style(series))
    for level in heights[apart]:
        ax.axhline(level, color=colour, linewidth=1.1, linestyle=(0, (1, 2)), zorder=1.4)
    if many:
        ax.fill_between(places, part["low"], part["high"], color=colour, alpha=0.18, linewidth=0)
        return
    errors = np.nan_to_num((part["high"] - part["mean"]).to_numpy())
    bars: dict[str, Any] = {"fmt": series.look.marker, "markersize": 6, "elinewidth": 1.3, "capsize": 2.5}
    ax.errorbar(places, heights, errors, color=colour, label=series.name, zorder=2.6, **bars)


def _log_axis_with_ends(ax: Axes, ticks: Floats) -> None:
    """Ticks at the values, as many as can be written, and a break where the axis leaves the logarithm."""
    places = _places(ticks, ticks)
    names = [_said(value) for value in ticks]
    low, high = ax.get_xlim()
    inches = style.PANEL[0] - 1.0  # of the axis itself, at least
    widths = [layout.text_width(name, layout.TICK) for name in names]
    written = layout.apart([float(at) for at in (places - low) / (high - low) * inches], widths)
    ax.set_xticks(places[written], [names[place] for place in written])
    ax.xaxis.set_minor_locator(NullLocator())
    beside = [places[0] + _BREAK / 2] * bool(ticks[0] == 0) + [places[-1] - _BREAK / 2] * bool(np.isinf(ticks[-1]))
    for place in beside if len(ticks) > 1 else ():
        middle = (place - low) / (high - low)
        for at in (middle - 0.008, middle + 0.008):
            slash: dict[str, Any] = {"color": style.FAINT, "linewidth": 1.0, "clip_on": False}
            ax.plot([at - 0.006, at + 0.006], [-0.02, 0.02], transform=ax.transAxes, **slash)
