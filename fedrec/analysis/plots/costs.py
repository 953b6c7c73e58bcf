"""What accuracy costs: a point for every method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fedrec.analysis.columns import context, label, require
from fedrec.analysis.plots import layout, means, style
from fedrec.analysis.plots.curves import ACCURACY
from fedrec.analysis.statistics import over_seeds
from fedrec.errors import InputError

_NAME = 1.4  # inches: width of a method's name at most
_LINE = 0.16  # inches: height of a line of it
METHODS = 24  # on one figure


def accuracy_against_cost(
    frame: pd.DataFrame, cost: str, by: str, metrics: Sequence[str] = ACCURACY, title: str | None = None
) -> Figure:
    """Final metrics against a cost on a log axis, a point for every method, named at the right.

    Args:
        frame: One row per run.
        cost: Column of numbers above 0; of a method's runs the mean counts.
        by: Column that tells methods apart.
        metrics: What to draw, a panel each.
        title: Above the panels; by default what the runs have in common.

    Raises:
        InputError: A column is missing, there are too many methods, or a cost is not above 0.

    Example:
        >>> runs = pd.DataFrame({"run": ["a", "b"], "method": ["FedNCF", "FCF"], "MB": [8, 0.3]})
        >>> runs["val/hr_10"] = [0.3, 0.4]
        >>> figure = accuracy_against_cost(runs, "MB", "method", ["val/hr_10"])
        >>> [text.get_text() for text in figure.axes[0].texts if text.get_text()]
        ['FedNCF', 'FCF']
    """
    require(frame, [cost, by, *metrics])
    if not (frame[cost] > 0).all():
        raise InputError(f"accuracy_against_cost: {cost} must hold numbers above 0")
    looks = style.looks(frame[by])
    if not 0 < len(looks) <= METHODS:
        raise InputError(f"accuracy_against_cost: {len(looks)} values of {by}; expected 1 to {METHODS}")
    names = {name: layout.wrap_name(str(name), _NAME, 8) for name in looks}
    table = over_seeds(frame, metrics, [by])
    costs: dict[Any, float] = frame.groupby(by, observed=True)[cost].mean().to_dict()
    height = max(style.PANEL[1], sum(map(_height, names.values())) + 0.7)
    figure, axes = style.panels(len(metrics), height, style.PANEL[0] + _NAME)
    clipped = False
    for ax, metric in zip(axes, metrics, strict=True):
        rows = table[table["metric"] == metric].set_index(by).sort_values("mean")
        for name, row in rows.iterrows():
            half = None if np.isnan(row["high"]) else row["high"] - row["mean"]
            bar: dict[str, Any] = {"fmt": looks[name].marker, "markersize": 6, "elinewidth": 1.1, "capsize": 2}
            ax.errorbar(costs[name], row["mean"], half, color=looks[name].colour, **bar)
        ax.set_xscale("log")
        style.log_ticks(ax.xaxis)
        means.popularity_line(ax, frame, metric)
        clipped |= means.fit_height(ax, rows)
        _write(ax, names, rows["mean"], costs, height - 0.7)
        style.name_axes(ax, label(cost), label(metric))
    layout.head(figure, title or context(frame))
    dashed = " Dashed: most popular." if any(means.popularity(frame, metric) is not None for metric in metrics) else ""
    beyond = " What reaches the edge goes on beyond it." if clipped else ""
    said = f"{means.seeds_text(table, 'Bars')}{dashed}{beyond} {means.ranking_text(frame, metrics)}"
    layout.caption(figure, said.strip())
    return figure


def _height(name: str) -> float:
    return _LINE * (name.count("\n") + 1)


def _write(ax: Axes, names: dict[Any, str], means_: pd.Series[float], costs: dict[Any, float], inches: float) -> None:
    """Every point's name right of the panel and a line to it: the names in order of the points, and apart."""
    bottom, top = ax.get_ylim()
    heights = np.array([_height(names[name]) for name in means_.index])
    points = np.asarray((means_.to_numpy() - bottom) / (top - bottom) * inches)
    places = _apart(points, heights, inches) / inches
    line = {"arrowstyle": "-", "color": style.FAINT, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 3}
    for (name, mean), place in zip(means_.items(), places, strict=True):
        ax.annotate("", (costs[name], mean), (1.04, place), "data", "axes fraction", line, annotation_clip=False)
        ax.text(1.04, place, names[name], transform=ax.transAxes, va="center", fontsize=8, color=style.INK)


def _apart(places: NDArray[np.float64], heights: NDArray[np.float64], inches: float) -> NDArray[np.float64]:
    """Rising places of texts, moved up, and down from the top, until none touches the next."""
    stacked = np.cumsum(heights) - heights / 2
    raised = np.maximum.accumulate(places - stacked) + stacked
    return np.asarray(np.minimum(raised, inches - heights.sum() + stacked))
