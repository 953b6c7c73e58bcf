"""What ``test`` leaves behind: a table on the terminal, ``test.json`` and every user's ranks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

from fedrec.evaluation.intervals import Estimate, over_users
from fedrec.evaluation.results import said_users, write_results
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
            "run": self._folder.id,
            "method": method_name(settings),
            "settings": ", ".join(said(name, settings[name]) for name in SHORT_NAMES if name in settings),
            "data": split.name,
            "protocol": split.protocol.label,
            "selection_on": split.selection_on,
            "checkpoint": self._checkpoint.name,
            "rounds": self._rounds,
            "seed": pl_module.seed,
            "split_seed": split.split_seed,
            "users": len(self._users),
            "all_users": split.num_users,
            "items": split.num_items,
            "candidates": split.protocol.candidates,
        }
        estimates = over_test_users(self._ranks)
        metrics = {name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith("test/")}
        intervals = {name: [estimate.low, estimate.high] for name, estimate in estimates.items()}
        about["cost"] = spent(self._folder)
        results = {**about, "metrics": metrics, "intervals": intervals}
        write_results(self._folder, results, split.user_ids[self._users.numpy()].tolist(), self._ranks)
        show(estimates, about)


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
    return dict(zip(columns, over_users(np.stack(list(columns.values()), 1)), strict=True))


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
    chosen = f"{about['checkpoint']}: round {about['rounds']}, chosen on the {about['selection_on']} item"
    if about["selection_on"] == "test":
        chosen += " itself, as the paper does: optimistic"
    sampled = (
        f"Sampled: among {about['candidates']} items the user never touched; full: among all {about['items']} items "
        f"but those seen. {said_users(about)}; ± is half of a 95 % interval over users (bootstrap)."
    )
    lines = [f"Seed {about['seed']}; {about['settings']}.", f"{chosen}.", said_costs(about["cost"]), sampled]
    return "\n".join(filter(None, lines))
