"""How every figure looks: sizes, colours, markers, grid."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from fedrec.analysis.naming import reading_order

INK, FAINT, PAPER = "#222222", "#8a8a8a", "#ffffff"
# Okabe and Ito's palette, told apart by all common kinds of colour blindness; yellow is left out on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
OTHERS = " others"  # how the one entry of a legend ends that stands for all series without a name
PANEL = (4.4, 3.2)  # inches
MANY = 12  # series or panels that can be told apart on one figure


@dataclass(frozen=True)
class Look:
    """Colour and marker of one series; both differ, so that a figure survives a grey printer."""

    colour: str
    marker: str


def panels(
    count: int, height: float = PANEL[1], width: float = PANEL[0], columns: int = 4
) -> tuple[Figure, list[Axes]]:
    """A figure with panels side by side; title, legend and caption are added by :mod:`fedrec.analysis.plots.layout`.

    Args:
        count: Number of panels.
        height: Of a panel, in inches.
        width: Of a panel, in inches.
        columns: How many stand in a row at most.
    """
    columns = min(count, columns)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained", facecolor=PAPER, dpi=110)
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)  # type: ignore[union-attr, call-arg]
    axes = [figure.add_subplot(rows, columns, place + 1) for place in range(count)]
    for ax in axes:
        dress(ax)
    return figure, axes


def dress(ax: Axes) -> None:
    """Plain axes: two spines, a pale grid behind the data."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(FAINT)
    ax.tick_params(colors=INK, labelsize=9, color=FAINT, length=3)
    ax.grid(True, color="#e6e6e6", linewidth=0.7)
    ax.set_axisbelow(True)


def name_axes(ax: Axes, x: str, y: str) -> None:
    """Label both axes."""
    ax.set_xlabel(x, fontsize=9.5, color=INK)
    ax.set_ylabel(y, fontsize=9.5, color=INK)


def colour_bar(figure: Figure, scale: Any, axes: Axes | Sequence[Axes], text: str) -> None:
    """The colours of a scale with a label, right of the panels that share it."""
    bar = figure.colorbar(scale, ax=axes, pad=0.02, aspect=30)
    bar.outline.set_visible(False)  # type: ignore[operator]
    bar.ax.tick_params(labelsize=8.5, color=FAINT, labelcolor=INK)
    bar.set_label(text, fontsize=9.5, color=INK)


def looks(values: pd.Series[Any]) -> dict[Hashable, Look]:
    """Colours and markers for the values of a column: a scale for more than three numbers, else the palette.

    Categories have a place of their own, so a value looks the same in a figure of some of the rows.

    Args:
        values: What tells series apart, of all rows of the figure.

    Returns:
        Looks of the values that are there, in reading order.
    """
    known = list(values.cat.categories) if isinstance(values.dtype, pd.CategoricalDtype) else reading_order(values)
    numeric = all(isinstance(value, Number) for value in known)
    if (numeric and len(known) > 3) or len(known) > len(COLOURS):
        shades = colormaps["viridis"](np.linspace(0, 0.9, len(known)))
        colours = ["#{:02x}{:02x}{:02x}".format(*(int(255 * part) for part in shade[:3])) for shade in shades]
    else:
        colours = list(COLOURS)
    there = set(values)
    return {
        value: Look(colours[place], MARKERS[place % len(MARKERS)])
        for place, value in enumerate(known)
        if value in there
    }


def log_ticks(axis: Axis) -> None:
    """Plain numbers on a log axis: 1, 2 and 5 of a decade, or fewer where there are many decades.

    Args:
        axis: The axis, with its limits.
    """
    low, high = axis.get_view_interval()
    decades = math.log10(high / low) if 0 < low < high else 0.0
    if decades < 0.5:
        axis.set_major_locator(MaxNLocator(4))
    else:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.5 else (1.0,), numticks=6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
