"""A metric over two settings at once."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fedrec.analysis.columns import context, label, require
from fedrec.analysis.plots import style
from fedrec.analysis.statistics import over_seeds


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
    """
    require(frame, [x, y, metric])
    table = over_seeds(frame, [metric], [x, y])
    figure, (ax,) = style.panels(1, height=3.6)
    scale = ScalarMappable(Normalize(table["mean"].min(), table["mean"].max()), colormaps["viridis"])
    if 2 * len(table) > table[x].nunique() * table[y].nunique():
        _cells(ax, table.pivot(index=y, columns=x, values="mean"), scale)
    else:
        _scattered(ax, table, x, y, scale)
    style.name_axes(ax, label(x), label(y))
    bar = figure.colorbar(scale, ax=ax, pad=0.02)
    bar.outline.set_visible(False)  # type: ignore[operator]
    bar.ax.tick_params(labelsize=8.5, color=style.FAINT, labelcolor=style.INK)
    bar.set_label(label(metric), fontsize=9.5, color=style.INK)
    style.head(figure, title or context(frame))
    fewest, most = int(table["seeds"].min()), int(table["seeds"].max())
    seeds = "one seed" if most == 1 else f"means over {most} seeds" if fewest == most else f"{fewest} to {most} seeds"
    style.caption(figure, f"Each setting: {seeds}. Framed: the best. {style.ranking_text(frame, [metric])}")
    return figure


def _cells(ax: Axes, grid: pd.DataFrame, scale: ScalarMappable) -> None:
    values = grid.to_numpy()
    ax.imshow(scale.to_rgba(values), aspect="auto", origin="lower")
    for row, column in np.argwhere(np.isfinite(values)):
        red, green, blue, _ = scale.to_rgba(values[row, column])
        ink = style.INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "#ffffff"
        ax.text(column, row, f"{values[row, column]:.3f}", ha="center", va="center", fontsize=9, color=ink)
    ax.set_xticks(range(grid.shape[1]), [f"{value:g}" for value in grid.columns])
    ax.set_yticks(range(grid.shape[0]), [f"{value:g}" for value in grid.index])
    row, column = np.unravel_index(np.nanargmax(values), values.shape)
    ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=style.COLOURS[1], linewidth=2.5))
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)


def _scattered(ax: Axes, table: pd.DataFrame, x: str, y: str, scale: ScalarMappable) -> None:
    table = table.sort_values("mean")  # the best on top
    colours = scale.to_rgba(table["mean"].to_numpy())
    ax.scatter(table[x], table[y], c=colours, s=60, edgecolors="w", linewidths=0.6)
    best = table.iloc[-1]
    ax.scatter(best[x], best[y], s=150, facecolors="none", edgecolors=style.COLOURS[1], linewidths=2)
    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis in (ax.xaxis, ax.yaxis):
        style.log_ticks(axis)
