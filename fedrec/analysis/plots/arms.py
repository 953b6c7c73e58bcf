"""What each arm of an ablation gains: bars that start at a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fedrec.analysis.columns import context, label, require
from fedrec.analysis.plots import layout, means, style
from fedrec.analysis.plots.curves import ACCURACY
from fedrec.analysis.statistics import over_seeds
from fedrec.errors import InputError
from fedrec.runs.settings import SEED

ARMS = 24  # bars on one figure, the baseline's included
_NAME, _LINE = 2.6, 0.17  # inches: width of an arm's name at most, height of a line of it


def ablation(
    frame: pd.DataFrame,
    by: str,
    baseline: str | None = None,
    metrics: Sequence[str] = ACCURACY,
    title: str | None = None,
) -> Figure:
    """What each arm gains over a baseline: bars that start at the baseline's mean, with every seed as a dot.

    Bars from 0 would hide differences of a percent, bars cut off at the bottom would inflate them.

    Args:
        frame: One row per run.
        by: Column with the arm's name.
        baseline: The arm that the others are held against; None: the first in reading order.
        metrics: What to draw, a panel each.
        title: Above the panels; by default what the runs have in common.

    Raises:
        InputError: A column or the baseline is missing.

    Example:
        >>> arms = pd.DataFrame({"run": ["a", "b"], "arm": ["neither", "both"], "val/hr_10": [0.3, 0.4]})
        >>> [text.get_text() for text in ablation(arms, "arm", "neither", ["val/hr_10"]).axes[0].texts]
        ['0.3000', '0.4000 (+0.1000)']
    """
    require(frame, [by, *metrics])
    looks = style.looks(frame[by])
    baseline = str(next(iter(looks))) if baseline is None else baseline
    if baseline not in looks:
        raise InputError(f"ablation: no run has {by} {baseline}; there are {', '.join(map(str, looks))}")
    table = over_seeds(frame, metrics, [by])
    names = [baseline, *_leading(table[table["metric"] == metrics[0]], by, baseline, looks)]
    said = [layout.wrap_name(str(name), _NAME, layout.TICK) for name in names]
    heights = np.array([0.24 + _LINE * (text.count("\n") + 1) for text in said])
    figure, axes = style.panels(len(metrics), height=0.6 + float(heights.sum()), width=style.PANEL[0] + _NAME / 2)
    places = np.cumsum(heights) - heights / 2
    for ax, metric in zip(axes, metrics, strict=True):
        rows = table[table["metric"] == metric].set_index(by).loc[names]
        _bars(ax, places, rows, [looks[name].colour for name in names])
        for place, name in zip(places, names, strict=True):
            runs = frame[frame[by] == name].sort_values(SEED) if SEED in frame else frame[frame[by] == name]
            seeds = np.full(len(runs), place)
            ax.plot(runs[metric], seeds, "o", color=looks[name].colour, markersize=4, markeredgecolor="w")
        ax.set_yticks(places, said if ax is axes[0] else [""] * len(names))
        ax.set_ylim(float(heights.sum()), 0)
        style.name_axes(ax, label(metric), "")
    layout.head(figure, title or context(frame))
    few = f" The best {len(names) - 1} of {len(looks) - 1} others." if len(names) < len(looks) else ""
    said_below = f"Bars start at {baseline}.{few} Dots: seeds. {means.seeds_text(table, 'Whiskers')}"
    layout.caption(figure, f"{said_below} {means.ranking_text(frame, metrics)}".strip())
    return figure


def _leading(table: pd.DataFrame, by: str, baseline: str, looks: Any) -> list[Any]:
    """The arms beside the baseline in reading order; of more than can be shown the best."""
    scores = table[table[by] != baseline].sort_values("mean", ascending=False, kind="stable")
    best = set(scores[by].head(ARMS - 1))
    return [name for name in looks if name in best]


def _bars(ax: Axes, places: Any, rows: pd.DataFrame, colours: Sequence[str]) -> None:
    start = rows["mean"].iloc[0]
    ax.barh(places, rows["mean"] - start, left=start, height=0.26, color=colours, alpha=0.55)
    ax.axvline(start, color=style.INK, linewidth=1)
    errors = np.nan_to_num((rows["high"] - rows["mean"]).to_numpy())
    ax.errorbar(rows["mean"], places, xerr=errors, fmt="none", ecolor=style.INK, elinewidth=1.2, capsize=3)
    for place, mean in zip(places, rows["mean"], strict=True):
        gain = "" if place == places[0] else f" ({mean - start:+.4f})"
        at: dict[str, Any] = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "fontsize": 8.5}
        ax.annotate(f"{mean:.4f}{gain}", (1, place), xycoords=("axes fraction", "data"), **at)
    ax.grid(False, axis="y")
    ax.margins(x=0.12)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.tick_params(axis="y", length=0)
