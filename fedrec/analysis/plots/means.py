"""Means with intervals on a panel: its height, what leaves it, the line of most popular, and what the caption says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from fedrec.analysis.plots.style import INK
from fedrec.evaluation.table import POPULAR


def fit_height(ax: Axes, table: pd.DataFrame) -> bool:
    """Choose the y axis by the means: an interval much wider than they are apart runs out of the panel.

    Call it after everything is drawn, the line of most popular included.

    Args:
        ax: Where.
        table: What is drawn there, with ``mean``, ``low`` and ``high``.

    Returns:
        Whether an interval runs out of the panel.
    """
    levels = [float(np.asarray(line.get_ydata())[0]) for line in ax.lines if line.get_label() == POPULAR]
    low, high = min([table["mean"].min(), *levels]), max([table["mean"].max(), *levels])
    reach = max(0.4 * (high - low), 0.02 * abs(high))
    lowest, highest = table["low"].fillna(low).min(), table["high"].fillna(high).max()
    low, high = min(low, max(low - reach, lowest)), max(high, min(high + reach, highest))
    margin = 0.06 * (high - low) or 0.02 * abs(high) or 1.0
    floor = 0.0 if table["mean"].min() >= 0 else -np.inf  # rates and losses have no room below 0, wide as a band may be
    bottom, top = max(low - margin, floor), high + margin
    ax.set_ylim(bottom, top)
    return bool(lowest < bottom or highest > top)


def mark_clipped(ax: Axes, places: Iterable[float], part: pd.DataFrame, colour: str) -> None:
    """Put an arrow head where an error bar leaves the panel.

    Args:
        ax: Where, with its final limits.
        places: x of every bar.
        part: The bars' ``low`` and ``high``.
        colour: Of the bars.
    """
    bottom, top = ax.get_ylim()
    places = np.asarray(list(places))
    for edge, marker, beyond in ((top, "^", part["high"] > top), (bottom, "v", part["low"] < bottom)):
        at = places[beyond.to_numpy()]
        if len(at):
            heights = np.full(len(at), edge)
            ax.plot(at, heights, marker, color=colour, markersize=5, clip_on=False, zorder=5, label=f"_{marker}")


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
        ax.axhline(value, color=INK, linewidth=1.2, linestyle=(0, (5, 3)), label=POPULAR, zorder=1.5)


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
