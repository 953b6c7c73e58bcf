"""What ``test`` leaves behind: a table on the terminal, ``test.json`` and every user's ranks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

from fedrec.data.protocol.split import Split
from fedrec.evaluation.intervals import Estimate, over_users
from fedrec.evaluation.results import EXPOSURE, PROMOTED, said_promoted, said_users, test_metrics, write_results
from fedrec.evaluation.table import MEASURES, MODELS
from fedrec.runs.checkpoints import rounds_done
from fedrec.runs.costs import said_costs, spent
from fedrec.runs.folder import RunFolder
from fedrec.runs.plain import load
from fedrec.runs.settings import SHORT_NAMES, flat_settings, method_name, said


class TestReport(Callback):
    """Writes and prints the results of ``test``.

    Args:
        folder: The run folder.
        checkpoint: The checkpoint under test.
    """

    __test__ = False  # no test case, whatever pytest makes of the name

    def __init__(self, folder: RunFolder, checkpoint: Path) -> None:
        self._folder, self._checkpoint = folder, checkpoint
        self._rounds = 0

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note how many rounds the checkpoint has seen."""
        self._rounds = rounds_done(checkpoint)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take the ranks of all users."""
        self._users, self._ranks = batch.users.cpu(), {name: rank.cpu() for name, rank in outputs.items()}

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the files and print the table."""
        if not trainer.is_global_zero:
            return
        split = trainer.datamodule.split  # type: ignore[attr-defined]
        settings = flat_settings(load(self._folder.config))
        about = {
            "method": method_name(settings),
            "settings": ", ".join(said(name, settings[name]) for name in SHORT_NAMES if name in settings),
            "checkpoint": self._checkpoint.name,
            "rounds": self._rounds,
            "seed": pl_module.seed,
            "cost": spent(self._folder),
        }
        promoted = pl_module.uploads.promoted  # type: ignore[union-attr]
        if promoted is not None:
            about["promoted"] = {"item": promoted, "id": str(split.item_ids[promoted])}
        record_test(self._folder, about, split, self._users, self._ranks)


def record_test(
    folder: RunFolder, about: Mapping[str, Any], split: Split, users: Tensor, ranks: Mapping[str, Tensor]
) -> None:
    """Write ``test.json`` and every user's ranks into a run folder, and print the table.

    Args:
        folder: The run folder.
        about: What was measured: ``method``, ``settings`` in words, ``checkpoint`` (None for a reference), ``rounds``,
            ``seed`` and ``cost``; a reference has ``tried``, all settings of which the best is measured; where an item
            is promoted, ``promoted`` has its number and raw id.
        split: On what.
        users: ``int64 [V]`` the users, on the CPU.
        ranks: ``int64 [V]`` by name, on the CPU, as :func:`fedrec.evaluation.ranking.evaluate` gives them.
    """
    head = {
        "run": folder.id,
        **about,
        "data": split.name,
        "protocol": split.protocol.label,
        "selection_on": split.selection_on,
        "split_seed": split.split_seed,
        "fingerprint": split.fingerprint,
        "users": len(users),
        "all_users": split.num_held_out,
        "items": split.num_items,
        "candidates": split.protocol.candidates,
    }
    estimates = over_test_users(ranks)
    metrics = {name: value.item() for name, value in test_metrics(ranks).items()}
    intervals = {name: [estimate.low, estimate.high] for name, estimate in estimates.items()}
    results = {**head, "metrics": metrics, "intervals": intervals}
    write_results(folder, results, split.user_ids[users.numpy()].tolist(), ranks)
    show(estimates, head)


def over_test_users(ranks: Mapping[str, Tensor]) -> dict[str, Estimate]:
    """The measures of all that is ranked in a test, with their intervals over users.

    Args:
        ranks: ``int64 [V]`` by the names of :meth:`fedrec.evaluation.table.Measure.ranks`.

    Returns:
        Estimates by the names under which the measures are logged.
    """
    columns = {
        measure.name(model): measure.values(ranks[measure.ranks(model)])
        for model in MODELS
        for measure in MEASURES
        if measure.ranks(model) in ranks
    }
    estimates = dict(zip(columns, over_users(np.stack(list(columns.values()), 1)), strict=True))
    shown = ranks.get(PROMOTED, torch.zeros(0))
    if len(shown := shown[shown > 0]):  # of the users who do not have the item
        (estimates[EXPOSURE],) = over_users((shown <= 10).double().numpy()[:, None])
    return estimates


def show(estimates: Mapping[str, Estimate], about: Mapping[str, Any]) -> None:
    """Print the table of one test.

    Args:
        estimates: By the names under which the measures are logged.
        about: What was measured: the head of ``test.json``.
    """
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
    Console(width=None if Console().is_terminal else 100).print(table)


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
    return f"{text}, chosen on the {about['selection_on']} item{optimistic}"
