"""The tables that ``test`` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from fedrec.evaluation.intervals import Estimate
from fedrec.evaluation.learned import told_figures
from fedrec.evaluation.results import said_promoted, said_users
from fedrec.evaluation.table import EXPOSURE, MEASURES, MODEL, MODELS
from fedrec.runs.costs import said_costs

LEARNED = (  # without line breaks: the table has it wrapped at its own width
    "Gain: the model minus the mean-private model. Correlation: Spearman, of the candidates' order with their numbers "
    "of training rows. Coverage and Gini: over all items, of everybody's ten best unseen items. AUC: share of the "
    "unseen items that rank behind the held-out one. Head, middle and tail items: a third of the training rows each; "
    "small, medium and large clients: a third of the clients each, by training rows."
)


def show(estimates: Mapping[str, Estimate], metrics: Mapping[str, float], about: Mapping[str, Any]) -> None:
    """Print the tables of one test: how often each way to rank hits, and what was learned.

    Args:
        estimates: What has an interval over users, by the names under which it is logged.
        metrics: All figures, by these names.
        about: What was measured: the head of ``test.json``.
    """
    console = Console(width=None if Console().is_terminal else 100)
    console.print(_hits(estimates, about))
    console.print()
    console.print(_learned(estimates, metrics))


def _hits(estimates: Mapping[str, Estimate], about: Mapping[str, Any]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"Run {about['run']}: {about['method']} on {about['data']}, protocol {about['protocol']}",
        title_justify="left",
        caption=caption(about),
        caption_justify="left",
    )
    table.add_column("ranked by")
    for measure in MEASURES:
        table.add_column(measure.label, justify="right")
    for model in MODELS:
        if MEASURES[0].name(model) in estimates:
            table.add_row(model, *(cell(estimates[measure.name(model)]) for measure in MEASURES))
    if EXPOSURE in estimates:
        table.caption = f"{table.caption}\n{said_promoted(about['promoted'])} {cell(estimates[EXPOSURE])}."
    return table


def _learned(estimates: Mapping[str, Estimate], metrics: Mapping[str, float]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, title="What was learned", title_justify="left", caption=LEARNED, caption_justify="left"
    )
    table.add_column("")
    figures = {model: told_figures(model) for model in MODELS if MEASURES[0].name(model) in estimates}
    for model in figures:
        table.add_column(model, justify="right")
    for label in figures[MODEL]:
        names = [figures[model].get(label, "") for model in figures]
        cells = [
            cell(estimates[name]) if name in estimates else f"{metrics[name]:.4f}" if name in metrics else ""
            for name in names
        ]
        if any(cells):
            table.add_row(label, *cells)
    return table


def cell(estimate: Estimate) -> str:
    """A mean and half of its interval.

    Args:
        estimate: Both.

    Example:
        >>> cell(Estimate(0.5, 0.4, 0.6, 0.01))
        '0.5000 ± 0.1000'
    """
    return f"{estimate.mean:.4f} ± {estimate.half:.4f}" if estimate.half == estimate.half else f"{estimate.mean:.4f}"


def caption(about: Mapping[str, Any]) -> str:
    """Say under what rules the numbers came about.

    Args:
        about: What was measured: the head of ``test.json``.
    """
    sampled = (
        f"Sampled: among {about['candidates']} items the user never touched; full: among all {about['items']} items "
        f"but those seen. {said_users(about)}; ± is half of a 95 % interval over users (bootstrap)."
    )
    settings = "; ".join(filter(None, [f"Seed {about['seed']}", about["settings"]]))
    measured_on = f"Fingerprint of data and protocol: {about['fingerprint']}."
    parts = [f"{settings}.", f"{_chosen(about)}.", said_costs(about["cost"]), sampled, measured_on]
    return "\n".join(filter(None, parts))


def _chosen(about: Mapping[str, Any]) -> str:
    """What was measured, and on what it was chosen."""
    if about["checkpoint"] is None:
        text, chosen = "A reference: nothing was trained in rounds", len(about["tried"]) > 1
        text += f"; the best of {len(about['tried'])} settings" if chosen else ""
    else:
        text, chosen = f"{about['checkpoint']}: round {about['rounds']}", True
    if not chosen:
        return text
    optimistic = " itself, as the paper does: optimistic" if about["selection_on"] == "test" else ""
    among = " among all unseen items" if about.get("select") == "full" else ""
    return f"{text}, chosen on the {about['selection_on']} item{among}{optimistic}"
