"""Gains, differences with their intervals, a row each: which are shown, and which way they go."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fedrec.analysis.columns import require
from fedrec.analysis.plots import layout, style
from fedrec.errors import InputError

ROWS = 24  # on one figure
_NAME, _LINE = 2.6, 0.17  # inches: width of a row's name at most, height of a line of it
_SHOWN = {1: style.COLOURS[0], -1: style.COLOURS[1], 0: style.FAINT}  # above 0, below it, neither
_OPEN = {"color": style.INK, "markerfacecolor": "white"}  # nobody knows


def gains(table: pd.DataFrame, by: str, panel: str = "metric", title: str = "Differences", said: str = "") -> Figure:
    """Differences around 0: a dot and its interval, coloured where that leaves out 0, open where there is none.

    Args:
        table: Columns ``by``, ``panel``, ``difference`` and ``difference_half``, half of its interval (NaN or infinite
            where there is none).
        by: Column with a row's name; rows stand in the order of the table.
        panel: Column of whose values each has a panel of its own, in the order of the table.
        title: Above the panels.
        said: Below them: what the intervals are.

    Raises:
        InputError: A column is missing, there are too many rows, or a row stands twice in a panel.

    Example:
        >>> table = pd.DataFrame({"rule": ["a", "b"], "metric": "HR@10"})
        >>> table = table.assign(difference=[0.03, 0.01], difference_half=[0.01, 0.02])
        >>> [text.get_text() for text in gains(table, "rule").axes[0].texts]
        ['+0.0300 ± 0.0100', '+0.0100 ± 0.0200']
    """
    require(table, [by, panel, "difference", "difference_half"])
    names, parts = list(dict.fromkeys(table[by])), list(dict.fromkeys(table[panel]))
    if not 0 < len(names) <= ROWS:
        raise InputError(f"gains: {len(names)} rows; expected 1 to {ROWS}")
    if table.duplicated([by, panel]).any():
        raise InputError(f"gains: a value of {by} has two rows in one panel; expected one")
    written = [layout.wrap_name(str(name), _NAME, layout.TICK) for name in names]
    heights = np.array([0.08 + _LINE * (text.count("\n") + 1) for text in written])
    places = dict(zip(names, np.cumsum(heights) - heights / 2, strict=True))
    size = {"height": 0.7 + float(heights.sum()), "width": style.PANEL[0] + _NAME / 2}
    figure, axes = style.panels(len(parts), columns=2, **size)
    for number, (ax, part) in enumerate(zip(axes, parts, strict=True)):
        _rows(ax, table[table[panel] == part], by, places)
        ax.set_yticks(list(places.values()), written if number % 2 == 0 else [""] * len(names))
        ax.set_ylim(float(heights.sum()), 0)
        style.name_axes(ax, layout.wrap(str(part), style.PANEL[0] - 1, 9.5), "")
    layout.head(figure, title)
    unknown = "" if np.isfinite(table["difference_half"]).all() else " Open: there is none."
    layout.caption(figure, f"Blue and orange: the interval is above or below 0.{unknown} {said}".strip())
    return figure


def _rows(ax: Axes, rows: pd.DataFrame, by: str, places: dict[Any, float]) -> None:
    largest = float(rows["difference"].abs().max())
    digits = max(4, 2 - math.floor(math.log10(largest))) if largest > 0 else 4  # three that count
    for name, value, half in rows[[by, "difference", "difference_half"]].itertuples(index=False):
        known = bool(np.isfinite(half))
        colour = {"color": _SHOWN[int(np.sign(value)) if abs(value) > half else 0]} if known else _OPEN
        bar: dict[str, Any] = {"fmt": "o", "markersize": 5.5, "elinewidth": 1.6, "capsize": 2.5, **colour}
        ax.errorbar(value, places[name], xerr=half if known else None, **bar)
        text = f"{value:+.{digits}f} ± {half:.{digits}f}" if known else f"{value:+.{digits}f}"
        at: dict[str, Any] = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "fontsize": 8.5}
        ax.annotate(text, (1, places[name]), xycoords=("axes fraction", "data"), **at)
    ax.axvline(0, color=style.INK, linewidth=1)
    ax.grid(False, axis="y")
    ax.margins(x=0.08)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.tick_params(axis="y", length=0)
