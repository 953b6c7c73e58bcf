"""The picture of an audit: rows per user, popularity, time, and what scores without learning."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter, StrMethodFormatter

from fedrec.analysis.plots.layout import caption, head
from fedrec.analysis.plots.style import COLOURS, FAINT, INK, log_ticks, name_axes, panels
from fedrec.data.audit.audit import Audit
from fedrec.data.audit.parts import Timestamps


def audit_figure(audit: Audit) -> Figure:
    """Draw an audit in four panels.

    Args:
        audit: The audit.

    Returns:
        A figure of its own, without pyplot's state; save it with ``savefig``.

    Example:
        >>> from fedrec.data.audit.audit import audit
        >>> from fedrec.data.protocol.presets import ProtocolOverrides
        >>> from fedrec.data.synthetic import Plan, synthetic
        >>> made = audit(synthetic(Plan(users=50, items=200, rows=900), 0), "fair", ProtocolOverrides(candidates=20))
        >>> [axes.get_xlabel() for axes in audit_figure(made).axes]
        ['rows of a user', 'most popular items, share of all', 'time', '']
    """
    figure, axes = panels(4, columns=2)
    _rows_per_user(axes[0], audit)
    _popularity(axes[1], audit)
    _time(axes[2], audit.timestamps)
    _baselines(axes[3], audit)
    # A file may have any name: a long one is cut, and a dollar sign begins no formula.
    name = (audit.name if len(audit.name) <= 50 else f"{audit.name[:47]}...").replace("$", r"\$")
    head(figure, f"{name} under protocol {audit.protocol.name}")
    caption(
        figure,
        f"Protocol {audit.protocol.label}. {audit.kept.users:,} users, {audit.kept.items:,} items, "
        f"{audit.kept.rows:,} rows kept; split seed {audit.split_seed}. Scores: test item among "
        f"{audit.protocol.candidates} sampled candidates, ties against it; bar on most popular: 95 % "
        "interval over users.",
    )
    return figure


def _rows_per_user(ax: Axes, audit: Audit) -> None:
    counts = audit.user_rows
    # About eight bins per doubling at most, and never narrower than one row.
    edges = np.unique(np.geomspace(counts.min(), counts.max() + 1, 33).round()) - 0.5
    ax.hist(counts, bins=edges.tolist(), color=COLOURS[0])
    ax.set_xscale("log")
    log_ticks(ax.xaxis)
    median = audit.rows_per_user.median
    ax.axvline(median, color=INK, linewidth=1.2, linestyle=(0, (5, 3)))
    ax.text(
        median, 1.01, f"median {median:,.0f}", transform=ax.get_xaxis_transform(), ha="center", fontsize=9, color=INK
    )
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    name_axes(ax, "rows of a user", "users")


def _popularity(ax: Axes, audit: Audit) -> None:
    held = np.cumsum(np.sort(audit.popularity)[::-1]) / audit.popularity.sum()
    share = np.arange(1, len(held) + 1) / len(held)
    ax.plot(share, held, color=COLOURS[0], linewidth=1.8)
    ax.plot(share, share, color=FAINT, linewidth=1, linestyle=(0, (5, 3)))
    shares = audit.concentration.top_1_percent, audit.concentration.top_10_percent
    for part, height in zip((100, 10), shares, strict=True):
        at = max(1, len(held) // part) / len(held)
        ax.plot([at], [height], "o", color=COLOURS[1], markersize=5)
        ax.annotate(f"{height:.0%}", (at, height), xytext=(-5, 5), textcoords="offset points", ha="right", fontsize=9)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.set_ylim(0, 1.04)
    name_axes(ax, "most popular items, share of all", "share of the training rows")


def _time(ax: Axes, timestamps: Timestamps | None) -> None:
    name_axes(ax, "time", "rows of the file")
    if timestamps is None or timestamps.constant:
        text = "no timestamps" if timestamps is None else f"all rows have the time {timestamps.first}"
        ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", fontsize=10, color=FAINT)
        ax.set_xticks([])
        ax.set_yticks([])
        return
    if timestamps.unit is None:
        edges = np.array(timestamps.bin_edges, dtype=np.float64)
        name_axes(ax, "time, unit unknown", "rows of the file")
    else:
        dates = AutoDateLocator(maxticks=6)  # type: ignore[no-untyped-call]
        ax.xaxis.set_major_locator(dates)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(dates))  # type: ignore[no-untyped-call]
        edges = np.array([edge.removesuffix("Z") for edge in timestamps.bin_edges], dtype="datetime64[s]")
    ax.bar(edges[:-1], timestamps.bin_rows, width=np.diff(edges), align="edge", color=COLOURS[0])
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    if timestamps.impossible:
        text = f"{timestamps.impossible:,} rows with impossible times not shown"
        ax.text(0.02, 1.01, text, transform=ax.transAxes, fontsize=9, color=INK)


def _baselines(ax: Axes, audit: Audit) -> None:
    names = list(audit.baselines)
    for place, metric in enumerate(("HR@10", "NDCG@10")):
        heights = [figure.hr if metric == "HR@10" else figure.ndcg for figure in audit.baselines.values()]
        at = np.arange(len(names)) + 0.4 * place
        bars = ax.bar(at, heights, width=0.38, color=COLOURS[place], label=metric)
        ax.bar_label(bars, fmt="%.3f", fontsize=8.5, padding=6)
    popular = audit.popular_hr
    ends = np.maximum(0, [[popular.mean - popular.low], [popular.high - popular.mean]])  # equal but for rounding
    ax.errorbar([0], [popular.mean], yerr=ends, color=INK, capsize=3, linewidth=1)
    ax.set_xticks(np.arange(len(names)) + 0.2, names)
    ax.grid(False, axis="x")
    ax.set_ylim(0, 1.15)
    ax.set_yticks(np.linspace(0, 1, 6))
    # Above the panel: inside, it would hide the scores of whatever stands on the right.
    ax.legend(frameon=False, fontsize=9, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0)
    name_axes(ax, "", "score without learning")
