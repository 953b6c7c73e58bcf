"""The loss around trained models: contours, and sharpness in numbers."""

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
from fedrec.analysis.plots import layout, style
from fedrec.analysis.sharpness import Landscape

_STEP = "filter-normalised step"
_RISE = "rise of the loss above the model's"
_MADE = "Directions are random, each filter as long as the model's; (0, 0) is the model. Loss: mean over clients."
_PANEL = (3.5, 3.5)  # inches


def contours(landscapes: Mapping[str, Landscape], title: str = "Loss around the model") -> Figure:
    """Lines of equal rise of the loss on a plane through each model, on one scale of levels and colours.

    Args:
        landscapes: By name of the model; of many the first ones are drawn, and the caption says so.
        title: Above the panels.

    Example:
        >>> steps = np.linspace(-1, 1, 5)
        >>> bowl = Landscape(steps, loss=0.5 + steps[:, None] ** 2 + steps**2, centre=0.5, side="shared")
        >>> contours({"FedNCF": bowl}).axes[0].get_title(loc="left")
        'FedNCF, shared side (its loss: 0.5)'
    """
    shown = dict(list(landscapes.items())[: style.MANY])
    titles = [_panel_title(name, landscape) for name, landscape in shown.items()]
    lines = max(text.count("\n") + 1 for text in titles)
    figure, axes = style.panels(len(shown), _PANEL[1] + 0.17 * lines, _PANEL[0], columns=min(4, _square(len(shown))))
    levels = _levels(list(shown.values()))
    for ax, text, landscape in zip(axes, titles, shown.values(), strict=True):
        steps, rise = landscape.steps, landscape.rise.T  # matplotlib wants the horizontal direction last
        filled = ax.contourf(steps, steps, rise, levels, cmap="cividis", extend="both")
        ax.contour(steps, steps, rise, levels[::2], colors="white", linewidths=0.7)
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.yaxis.set_major_locator(MaxNLocator(5))
        ax.plot(0, 0, "+", color=style.COLOURS[1], markersize=11, markeredgewidth=2)
        ax.set_title(text, fontsize=10, loc="left", color=style.INK)
        ax.set_aspect("equal")
        ax.grid(False)
        style.name_axes(ax, f"first direction [{_STEP}]", "second direction")
    style.colour_bar(figure, filled, axes, _RISE)
    figure.set_figwidth(figure.get_figwidth() + 0.9)  # of the colour bar
    layout.head(figure, title)
    few = f" The first {len(shown)} of {len(landscapes)} models." if len(shown) < len(landscapes) else ""
    layout.caption(figure, f"{_MADE}{few}")
    return figure


def _square(count: int) -> int:
    """How many panels stand in a row, so that rows and columns are about as many."""
    return count if count < 4 else int(np.ceil(count**0.5))


def _panel_title(name: str, landscape: Landscape) -> str:
    text = f"{name}, {landscape.side} side (its loss: {landscape.centre:.4g})"
    return layout.wrap_name(text, _PANEL[0] - 0.8, 10)


def _levels(landscapes: Sequence[Landscape]) -> NDArray[np.float64]:
    """Common levels up to the median of the planes' edges: they show the bowl, and not the far walls."""
    lowest = min(float(landscape.rise.min()) for landscape in landscapes)
    rises = [landscape.rise for landscape in landscapes]
    edges = [part for rise in rises for part in (rise[0], rise[-1], rise[:, 0], rise[:, -1])]
    highest = max(float(np.median(np.concatenate(edges))), lowest + 1e-9)
    return np.asarray(MaxNLocator(nbins=14).tick_values(lowest, highest))


def sharpness_bars(table: pd.DataFrame, measures: Sequence[str], title: str = "Sharpness") -> Figure:
    """Measures of sharpness, shared and private side apart, a panel per measure, a bar per model.

    Args:
        table: Columns ``model``, ``side`` and the measures; several rows of a model and side are averaged. Of many
            models the first ones are drawn, and the caption says so.
        measures: Columns to draw; their names, with units, label the axes.
        title: Above the panels.

    Example:
        >>> table = pd.DataFrame({"model": ["FedNCF", "FedRecGEL"], "side": "shared", "rise of the loss": [0.4, 0.1]})
        >>> [float(bar.get_width()) for bar in sharpness_bars(table, ["rise of the loss"]).axes[0].patches]
        [0.4, 0.1]
    """
    require(table, ["model", "side", *measures])
    looks = style.looks(table["model"])
    models = list(looks)[: style.MANY]
    names = [layout.wrap_name(str(model), 2.4, layout.TICK) for model in models]
    heights = np.array([0.12 + 0.16 * (name.count("\n") + 1) for name in names])
    sides = sorted(table["side"].unique(), reverse=True)  # shared before private
    figure, axes = style.panels(len(measures), 0.8 + len(sides) * (float(heights.sum()) + 0.3), style.PANEL[0] + 0.6)
    block = float(heights.sum()) + 0.3
    places = np.array([n * block + 0.3 + at for n in range(len(sides)) for at in np.cumsum(heights) - heights / 2])
    for ax, measure in zip(axes, measures, strict=True):
        values = table.pivot_table(index="side", columns="model", values=measure, observed=True)
        widths = values.loc[sides, models].to_numpy().ravel()
        bars = ax.barh(places, widths, 0.22, color=[looks[model].colour for model in models] * len(sides))
        ax.bar_label(bars, fmt="%.3g", fontsize=8.5, padding=3, color=style.INK)
        _sides(ax, sides, block)
        ax.set_yticks(places, names * len(sides) if ax is axes[0] else [""] * len(places))
        ax.set_ylim(block * len(sides), 0)
        style.name_axes(ax, layout.wrap(measure, style.PANEL[0] - 1, 9.5), "")
    layout.head(figure, title)
    counts = table.groupby(["model", "side"], observed=True).size()
    few = f" The first {len(models)} of {len(looks)} models." if len(models) < len(looks) else ""
    said = "One model each." if counts.max() == 1 else f"Means over {counts.max()} seeds."
    layout.caption(figure, f"{said}{few}")
    return figure


def _sides(ax: Axes, sides: Sequence[str], block: float) -> None:
    """The name of every side above its bars."""
    for number, side in enumerate(sides):
        at: dict[str, Any] = {
            "transform": ax.get_yaxis_transform(),
            "va": "center",
            "fontsize": 9,
            "fontweight": "bold",
        }
        ax.text(0.01, number * block + 0.15, f"{side} side", color=style.INK, **at)
    ax.grid(False, axis="y")
    ax.margins(x=0.16)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.tick_params(axis="y", length=0)
