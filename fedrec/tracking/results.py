"""What ``test`` leaves behind: a table on the terminal, ``test.json`` and every user's ranks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

from fedrec.evaluation.measures import Floats, hit_rate, ndcg
from fedrec.evaluation.results import write_results
from fedrec.runs.folder import RunFolder

# A model's name -> what stands before its ranks' and its metrics' names.
MODELS = {"model": "", "most popular": "popular_", "mean-private": "mean_private_"}
COLUMNS = {
    "sampled HR@10": ("sampled", "hr_10"),
    "sampled NDCG@10": ("sampled", "ndcg_10"),
    "full HR@10": ("full", "full_hr_10"),
    "full NDCG@10": ("full", "full_ndcg_10"),
}
Estimate = tuple[float, float]  # mean over users and half the width of its 95 % interval


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
        self._rounds = int(checkpoint["global_step"])

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
        """Report."""
        if not trainer.is_global_zero:
            return
        split = trainer.datamodule.split  # type: ignore[attr-defined]
        users, ranks = self._users, self._ranks
        found = estimates(ranks)
        about = {
            "data": split.name,
            "protocol": split.protocol.label,
            "selection_on": split.selection_on,
            "checkpoint": self._checkpoint.name,
            "rounds": self._rounds,
            "seed": pl_module.seed,
            "split_seed": split.split_seed,
            "users": len(users),
            "items": split.num_items,
            "candidates": split.protocol.candidates,
        }
        metrics = {name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith("test/")}
        results = {**about, "metrics": metrics, "intervals": _intervals(found)}
        write_results(self._folder, results, split.user_ids[users.numpy()].tolist(), ranks)
        show(found, about)


def estimates(ranks: Mapping[str, Tensor]) -> dict[str, dict[str, Estimate]]:
    """HR@10 and NDCG@10 of the model and the two references, with their uncertainty over users.

    Args:
        ranks: ``int64 [V]`` by name, as the module leaves them after ``test``.

    Returns:
        By model and column of the table: the mean, and half the width of its 95 % interval by normal approximation
        (1.96 standard errors), which says how far another draw of as many users would move it.
    """
    return {
        model: {
            column: _mean(hit_rate(ranks[prefix + kind], 10) if "hr" in metric else ndcg(ranks[prefix + kind], 10))
            for column, (kind, metric) in COLUMNS.items()
        }
        for model, prefix in MODELS.items()
    }


def show(found: Mapping[str, Mapping[str, Estimate]], about: Mapping[str, Any]) -> None:
    """Print the table of one test."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"{about['data']}, protocol {about['protocol']}, seed {about['seed']}",
        title_justify="left",
        caption=caption(about),
        caption_justify="left",
    )
    table.add_column("")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for model, row in found.items():
        table.add_row(model, *(f"{mean:.4f} ± {half:.4f}" for mean, half in row.values()))
    Console(width=None if Console().is_terminal else 100).print(table)


def caption(about: Mapping[str, Any]) -> str:
    """Say under what rules the numbers came about."""
    chosen = f"{about['checkpoint']}, {about['rounds']} rounds, chosen on the {about['selection_on']} item"
    if about["selection_on"] == "test":
        chosen += " itself, as the paper does: optimistic"
    return (
        f"{chosen}.\nSampled: among {about['candidates']} items the user never touched; full: among all "
        f"{about['items']} items but those seen. {about['users']} users; ± is a 95 % interval over users."
    )


def _mean(values: Floats) -> Estimate:
    half = 1.96 * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(values.mean()), half


def _intervals(found: Mapping[str, Mapping[str, Estimate]]) -> dict[str, list[float]]:
    return {
        f"test/{prefix}{COLUMNS[column][1]}": [mean - half, mean + half]
        for model, prefix in MODELS.items()
        for column, (mean, half) in found[model].items()
    }
