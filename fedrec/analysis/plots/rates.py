"""A metric over two settings at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fedrec.analysis.columns import context, label, require
from fedrec.analysis.plots import layout, means, style
from fedrec.analysis.statistics import over_seeds

_CELL = (0.5, 0.3)  # inches that a cell with a number in it takes at least
_WRITTEN = (16, 24)  # columns and rows up to which cells hold numbers
_AROUND = (1.9, 0.8)  # inches for tick labels, axis labels and the colour bar


def heat_map(
    frame: pd.DataFrame,
    x: str = "model.client.lr",
    y: str = "model.server.lr",
    metric: str = "val/ndcg_10",
    title: str | None = None,
) -> Figure:
    """A metric over two rates: cells where the runs stand on a grid, else a point per setting on two log axes.

    Args:
        frame: One row per run.
        x: Setting on the horizontal axis.
        y: Setting on the vertical axis.
        metric: What the colour shows; the best setting is framed.
        title: Above the figure; by default what the runs have in common.

    Example:
        >>> rates = pd.DataFrame({"run": ["a", "b"], "model.client.lr": [0.1, 0.2], "model.server.lr": 0.01})
        >>> [text.get_text() for text in heat_map(rates.assign(**{"val/ndcg_10": [0.3, 0.4]})).axes[0].texts]
        ['0.300', '0.400']
    """
    require(frame, [x, y, metric])
    table = over_seeds(frame, [metric], [x, y])
    scale = ScalarMappable(Normalize(table["mean"].min(), table["mean"].max()), colormaps["viridis"])
    numbers = all(pd.api.types.is_numeric_dtype(table[column]) for column in (x, y))
    if not numbers or 2 * len(table) > table[x].nunique() * table[y].nunique():
        grid = table.pivot(index=y, columns=x, values="mean")
        figure, ax = _cells(grid, scale)
    else:
        figure, (ax,) = style.panels(1, height=3.6)
        _scattered(ax, table, x, y, scale)
    style.name_axes(ax, label(x), label(y))
    style.colour_bar(figure, scale, ax, label(metric))
    layout.head(figure, title or context(frame))
    fewest, most = int(table["seeds"].min()), int(table["seeds"].max())
    seeds = "one seed" if most == 1 else f"means over {most} seeds" if fewest == most else f"{fewest} to {most} seeds"
    said = f"Each setting: {seeds}. Framed: the best. {means.ranking_text(frame, [metric])}"
    layout.caption(figure, said.strip())
    return figure


def _cells(grid: pd.DataFrame, scale: ScalarMappable) -> tuple[Figure, Axes]:
    """A figure with room for every cell: for its number or, of many cells, for its colour."""
    values = grid.to_numpy()
    names = [[_said(value) for value in axis] for axis in (grid.columns, grid.index)]
    widths = [layout.text_width(name, layout.TICK) for name in names[0]]
    written = values.shape[1] <= _WRITTEN[0] and values.shape[0] <= _WRITTEN[1]
    cell = (max(_CELL[0], max(widths) + 0.1), _CELL[1]) if written else (0.06, 0.06)
    inches = max(style.PANEL[0] - _AROUND[0], cell[0] * values.shape[1]), max(2.8, cell[1] * values.shape[0])
    figure, (ax,) = style.panels(1, height=inches[1] + _AROUND[1], width=inches[0] + _AROUND[0])
    ax.imshow(scale.to_rgba(values), aspect="auto", origin="lower", interpolation="nearest")
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    if written:
        _numbers(ax, values, scale)
    columns = layout.apart(_middles(values.shape[1], inches[0] - 0.3), widths)
    rows = layout.apart(_middles(values.shape[0], inches[1] - 0.3), [0.14] * values.shape[0], gap=0.02)
    ax.set_xticks(columns, [names[0][place] for place in columns])
    ax.set_yticks(rows, [names[1][place] for place in rows])
    row, column = np.unravel_index(np.nanargmax(values), values.shape)
    ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=style.COLOURS[1], linewidth=2.5))
    return figure, ax


def _middles(count: int, inches: float) -> Sequence[float]:
    return [inches * (place + 0.5) / count for place in range(count)]


def _said(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float | np.number) else str(value)


def _numbers(ax: Axes, values: Any, scale: ScalarMappable) -> None:
    for row, column in np.argwhere(np.isfinite(values)):
        red, green, blue, _ = scale.to_rgba(values[row, column])
        ink = style.INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "#ffffff"
        ax.text(column, row, f"{values[row, column]:.3f}", ha="center", va="center", fontsize=9, color=ink)


def _scattered(ax: Axes, table: pd.DataFrame, x: str, y: str, scale: ScalarMappable) -> None:
    table = table.sort_values("mean")  # the best on top
    colours = scale.to_rgba(table["mean"].to_numpy())
    ax.scatter(table[x], table[y], c=colours, s=60, edgecolors="w", linewidths=0.6)
    best = table.iloc[-1]
    ax.scatter(best[x], best[y], s=150, facecolors="none", edgecolors=style.COLOURS[1], linewidths=2)
    # A logarithm has no place for 0: such an axis stays linear.
    for column, set_scale, axis in ((x, ax.set_xscale, ax.xaxis), (y, ax.set_yscale, ax.yaxis)):
        if table[column].min() > 0:
            set_scale("log")
            style.log_ticks(axis)
