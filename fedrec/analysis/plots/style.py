"""How every figure looks: sizes, colours, grid, and the line below it that says what the bands are."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

INK, FAINT, PAPER = "#222222", "#8a8a8a", "#ffffff"
# Okabe and Ito's palette, told apart by all common kinds of colour blindness; yellow is left out on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
REFERENCE = "most popular"
PANEL = (4.4, 3.2)  # inches


@dataclass(frozen=True)
class Look:
    """Colour and marker of one series; both differ, so that a figure survives a grey printer."""

    colour: str
    marker: str


def panels(columns: int, height: float = PANEL[1]) -> tuple[Figure, list[Axes]]:
    """A figure with panels side by side; end it with :func:`head`.

    Args:
        columns: Number of panels.
        height: Of a panel, in inches.
    """
    figure = Figure(figsize=(PANEL[0] * columns, height + 0.6), layout="constrained", facecolor=PAPER, dpi=110)
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)  # type: ignore[union-attr, call-arg]
    axes = [figure.add_subplot(1, columns, place + 1) for place in range(columns)]
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


def looks(values: Sequence[object]) -> list[Look]:
    """Colours and markers for series: a scale for more than three numbers, else the palette.

    Args:
        values: What the series stand for, in order.
    """
    numeric = all(isinstance(value, int | float | np.number) for value in values)
    if (numeric and len(values) > 3) or len(values) > len(COLOURS):
        shades = colormaps["viridis"](np.linspace(0, 0.9, len(values)))
        colours = ["#{:02x}{:02x}{:02x}".format(*(int(255 * part) for part in shade[:3])) for shade in shades]
    else:
        colours = list(COLOURS)
    return [Look(colours[place], MARKERS[place % len(MARKERS)]) for place in range(len(values))]


def caption(figure: Figure, text: str) -> None:
    """Small lines below the panels, wrapped to the figure's width."""
    lines = textwrap.wrap(text, int(figure.get_figwidth() * 15.5))
    figure.supxlabel("\n".join(lines), x=0.012, ha="left", fontsize=8, color="#555555")


def log_ticks(axis: Axis, steps: tuple[float, ...] = (1.0,)) -> None:
    """Plain numbers on a log axis.

    Args:
        axis: The axis.
        steps: What within a decade gets a number.
    """
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def ranking_text(frame: pd.DataFrame, metrics: Sequence[str]) -> str:
    """On which held-out item and among what the metrics are measured: it decides what may be compared."""
    stages = {metric.partition("/")[0] for metric in metrics}
    protocols = set(frame["data.protocol"]) if "data.protocol" in frame else set()
    if "val" not in stages:
        return ""
    if protocols == {"fedrecgel"}:
        return "Ranked: the test item, on which this protocol also selects, among sampled candidates."
    return "Ranked: the validation item among sampled candidates." if "fedrecgel" not in protocols else ""


def seeds_text(table: pd.DataFrame, shown: str = "Bands") -> str:
    """What intervals of :func:`fedrec.analysis.statistics.over_seeds` are, and over how many seeds.

    Args:
        table: Its result.
        shown: What they are on the figure.
    """
    fewest, most = int(table["seeds"].min()), int(table["seeds"].max())
    if most == 1:
        return "One seed: no interval."
    count = f"{most}" if fewest == most else f"{fewest} to {most}"
    return f"Means over {count} seeds. {shown}: 95 % t interval over seeds."


def head(figure: Figure, title: str, ax: Axes | None = None) -> None:
    """What stands above the panels: the title and, below it, one legend for all of them.

    Args:
        figure: The figure.
        title: In bold, at the left.
        ax: The panel whose curves the legend names; it is left out if there is but one.
    """
    handles, names = ax.get_legend_handles_labels() if ax else ([], [])
    if REFERENCE in names:  # last, after what it is a reference for
        place = names.index(REFERENCE)
        handles, names = ([*part[:place], *part[place + 1 :], part[place]] for part in (handles, names))
    if len(handles) < 2:
        figure.suptitle(title, x=0.012, ha="left", fontsize=11, fontweight="bold", color=INK)
        return
    figure.legend(
        handles,
        names,
        loc="outside upper left",
        title=title,
        title_fontproperties={"size": 11, "weight": "bold"},
        alignment="left",
        ncols=min(len(names), 5),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        handlelength=1.8,
        columnspacing=1.4,
    )


def fit_height(ax: Axes, table: pd.DataFrame) -> None:
    """Choose the y axis by the means: an interval much wider than they are apart runs out of the panel.

    Call it after everything is drawn, reference lines included.

    Args:
        ax: Where.
        table: What is drawn there, with ``mean``, ``low`` and ``high``.
    """
    levels = [float(np.asarray(line.get_ydata())[0]) for line in ax.lines if line.get_label() == REFERENCE]
    low, high = min([table["mean"].min(), *levels]), max([table["mean"].max(), *levels])
    reach = max(0.4 * (high - low), 0.02 * abs(high))
    lowest, highest = table["low"].fillna(low).min(), table["high"].fillna(high).max()
    low, high = min(low, max(low - reach, lowest)), max(high, min(high + reach, highest))
    margin = 0.06 * (high - low) or 0.02 * abs(high) or 1.0
    floor = 0.0 if table["mean"].min() >= 0 else -np.inf  # rates and losses have no room below 0, wide as a band may be
    ax.set_ylim(max(low - margin, floor), high + margin)


def popularity_line(ax: Axes, frame: pd.DataFrame, metric: str) -> None:
    """A dashed line at what most popular scores in the same ranking, where the runs know it.

    It is drawn if all runs agree on one value: most popular does not depend on the training seed.

    Args:
        ax: Where.
        frame: Runs.
        metric: The metric on the y axis.
    """
    value = popularity(frame, metric)
    if value is not None:
        ax.axhline(value, color=INK, linewidth=1.2, linestyle=(0, (5, 3)), label=REFERENCE, zorder=1.5)


def popularity(frame: pd.DataFrame, metric: str) -> float | None:
    """What most popular scores where ``metric`` is measured; None if the runs do not know it or differ."""
    stage, _, name = metric.removesuffix("_best").partition("/")
    columns = [f"{stage}/popular_{name}"]
    if stage == "val" and "data.protocol" in frame and set(frame["data.protocol"]) == {"fedrecgel"}:
        columns.append(f"test/popular_{name}")  # there the selection item is the test item
    for column in columns:
        if column in frame and frame[column].notna().any():
            values = frame[column].dropna().unique()
            return float(values[0]) if np.ptp(values) < 1e-9 else None
    return None
