"""The loss around trained models: contours, surfaces, and sharpness in numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fedrec.analysis.columns import require
from fedrec.analysis.plots import style
from fedrec.analysis.sharpness import Landscape

_STEP = "filter-normalised step"
_RISE = "rise of the loss above the model's"
_MADE = "Directions are random, each filter as long as the model's; (0, 0) is the model. Loss: mean over clients."


def contours(landscapes: Mapping[str, Landscape], title: str = "Loss around the model") -> Figure:
    """Lines of equal rise of the loss on a plane through each model, on one scale of levels and colours.

    Args:
        landscapes: By name of the model.
        title: Above the panels.
    """
    figure, axes = style.panels(len(landscapes), height=3.6)
    levels = _levels(list(landscapes.values()))
    for ax, (name, found) in zip(axes, landscapes.items(), strict=True):
        steps, rise = found.steps, found.rise.T  # matplotlib wants the horizontal direction last
        filled = ax.contourf(steps, steps, rise, levels, cmap="cividis", extend="both")
        lines = ax.contour(steps, steps, rise, levels[::2], colors="white", linewidths=0.7)
        ax.clabel(lines, fontsize=7.5, fmt="%.3g")
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.yaxis.set_major_locator(MaxNLocator(5))
        ax.plot(0, 0, "+", color=style.COLOURS[1], markersize=11, markeredgewidth=2)
        ax.set_title(_panel_title(name, found), fontsize=10, loc="left", color=style.INK)
        ax.set_aspect("equal")
        ax.grid(False)
        style.name_axes(ax, f"first direction [{_STEP}]", "second direction" if ax is axes[0] else "")
    bar = figure.colorbar(filled, ax=axes, pad=0.015)
    bar.set_label(_RISE, fontsize=9.5, color=style.INK)
    bar.ax.tick_params(labelsize=8.5, color=style.FAINT, labelcolor=style.INK)
    style.head(figure, title)
    style.caption(figure, _MADE)
    return figure


def _panel_title(name: str, found: Landscape) -> str:
    return f"{name}, {found.side} side (its loss: {found.centre:.4g})"


def _levels(landscapes: Sequence[Landscape]) -> NDArray[np.float64]:
    """Common levels up to the median of the planes' edges: they show the bowl, and not the far walls."""
    lowest = min(float(found.rise.min()) for found in landscapes)
    edges = [part for f in landscapes for part in (f.rise[0], f.rise[-1], f.rise[:, 0], f.rise[:, -1])]
    highest = max(float(np.median(np.concatenate(edges))), lowest + 1e-9)
    return np.asarray(MaxNLocator(nbins=14).tick_values(lowest, highest))


def surfaces(landscapes: Mapping[str, Landscape], title: str = "Loss around the model") -> Figure:
    """The rise of the loss over a plane through each model as a surface, all panels on one height.

    Args:
        landscapes: By name of the model.
        title: Above the panels.
    """
    columns = len(landscapes)
    figure = Figure(figsize=(4.4 * columns, 4.2), layout="constrained", facecolor=style.PAPER, dpi=110)
    lowest = min(float(found.rise.min()) for found in landscapes.values())
    highest = max(lowest + 1e-9, *(float(found.rise.max()) for found in landscapes.values()))
    for place, (name, found) in enumerate(landscapes.items()):
        ax: Any = figure.add_subplot(1, columns, place + 1, projection="3d")
        first, second = np.meshgrid(found.steps, found.steps, indexing="ij")
        ax.plot_surface(first, second, found.rise, cmap="cividis", vmin=lowest, vmax=highest, linewidth=0, rcount=60)
        ax.set_zlim(lowest, highest)
        ax.set_title(_panel_title(name, found), fontsize=10, loc="left", color=style.INK)
        for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
            axis.set_major_locator(MaxNLocator(4))
        ax.set_xlabel("first direction", fontsize=8.5, color=style.INK)
        ax.set_ylabel("second direction", fontsize=8.5, color=style.INK)
        ax.set_zlabel(_RISE, fontsize=8.5, color=style.INK)
        ax.tick_params(labelsize=7.5, colors=style.INK, pad=0)
        ax.view_init(elev=28, azim=-55)
        ax.set_box_aspect((1, 1, 0.75), zoom=0.88)
    style.head(figure, title)
    style.caption(figure, _MADE)
    return figure


def sharpness_bars(table: pd.DataFrame, measures: Sequence[str], title: str = "Sharpness") -> Figure:
    """Sharpness of models side by side, shared and private side apart, a panel per measure.

    Args:
        table: One row per model and side: ``model``, ``side`` and the measures.
        measures: Columns to draw; their names, with units, label the axes.
        title: Above the panels.
    """
    require(table, ["model", "side", *measures])
    figure, axes = style.panels(len(measures), height=2.6)
    models = list(table["model"].unique())
    for ax, measure in zip(axes, measures, strict=True):
        values = table.pivot_table(index="side", columns="model", values=measure)[models]
        _grouped_bars(ax, values.sort_index(ascending=False))  # shared before private
        style.name_axes(ax, "", measure)
    style.head(figure, title, axes[0])
    counts = table.groupby(["model", "side"]).size()
    style.caption(figure, "One model each." if counts.max() == 1 else f"Means over {counts.max()} seeds.")
    return figure


def _grouped_bars(ax: Axes, values: pd.DataFrame) -> None:
    width = 0.8 / values.shape[1]
    places = np.arange(len(values))
    for column, (name, look) in enumerate(zip(values.columns, style.looks(list(values.columns)), strict=True)):
        bars = ax.bar(places + (column + 0.5) * width - 0.4, values[name], 0.92 * width, color=look.colour, label=name)
        ax.bar_label(bars, fmt="%.3g", fontsize=8.5, padding=2, color=style.INK)
    ax.set_xticks(places, [f"{side} side" for side in values.index])
    ax.grid(False, axis="x")
    ax.margins(y=0.15)
    ax.tick_params(axis="x", length=0)
