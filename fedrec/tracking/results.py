"""What ``test`` leaves behind: tables on the terminal, ``test.json`` and every user's ranks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from fedrec.data.protocol.heldout import HeldOut
from fedrec.data.protocol.split import Split
from fedrec.evaluation.intervals import Estimate, estimates
from fedrec.evaluation.learned import over_some_users
from fedrec.evaluation.ranking import ranks_of
from fedrec.evaluation.results import test_metrics, write_results
from fedrec.evaluation.table import EXPOSURE, MEASURES, MODELS, PROMOTED
from fedrec.runs.changes import own_rates
from fedrec.runs.checkpoints import rounds_done
from fedrec.runs.costs import spent
from fedrec.runs.folder import RunFolder
from fedrec.runs.plain import load
from fedrec.runs.progress import done_rounds
from fedrec.runs.settings import SHORT_NAMES, flat_settings, method_name, said
from fedrec.tracking.tables import show


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
        """Take what was found of all users."""
        self._held_out, self._found = batch.to("cpu"), outputs

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the files and print the tables."""
        if not trainer.is_global_zero:
            return
        split = trainer.datamodule.split  # type: ignore[attr-defined]
        settings = flat_settings(load(self._folder.config))
        settings |= own_rates(self._folder)
        about = {
            "method": method_name(settings),
            "settings": ", ".join(said(name, settings[name]) for name in SHORT_NAMES if name in settings),
            "checkpoint": self._checkpoint.name,
            "rounds": self._rounds,
            "trained": done_rounds(self._folder),
            "select": settings.get("checkpoint.select", "sampled"),
            "seed": pl_module.seed,
            "cost": spent(self._folder),
        }
        promoted = pl_module.uploads.promoted  # type: ignore[union-attr]
        if promoted is not None:
            about["promoted"] = {"item": promoted, "id": str(split.item_ids[promoted])}
        record_test(self._folder, about, split, self._held_out, self._found)


def record_test(
    folder: RunFolder, about: Mapping[str, Any], split: Split, held_out: HeldOut, found: Mapping[str, Tensor]
) -> None:
    """Write ``test.json`` and every user's ranks into a run folder, and print the tables.

    Args:
        folder: The run folder.
        about: What was measured: ``method``, ``settings`` in words, ``checkpoint`` (None for a reference), ``rounds``
            (its own), ``trained`` (the run's, when it was tested), ``select`` (by which ranking the round was chosen),
            ``seed`` and ``cost``; a reference has ``tried``, all settings of which the best is measured; where an item
            is promoted, ``promoted`` has its number and raw id.
        split: On what.
        held_out: What was ranked, on the CPU.
        found: As :func:`fedrec.evaluation.ranking.evaluate` gives it, on the CPU.
    """
    users = held_out.users
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
    measured = over_test_users(found, held_out)
    metrics = {name: value.item() for name, value in test_metrics(found, held_out).items()}
    intervals = {name: [estimate.low, estimate.high] for name, estimate in measured.items()}
    results = {**head, "metrics": metrics, "intervals": intervals}
    write_results(folder, results, split.user_ids[users.numpy()].tolist(), ranks_of(found))
    show(measured, metrics, head)


def over_test_users(found: Mapping[str, Tensor], held_out: HeldOut) -> dict[str, Estimate]:
    """What is a mean over users in a test, with its interval over them.

    Args:
        found: As :func:`fedrec.evaluation.ranking.evaluate` gives it, on the CPU.
        held_out: What was ranked, on the CPU.

    Returns:
        Estimates of measures, and of figures of what was learned, by the names under which they are logged.
    """
    measured = {
        measure.name(model): measure.values(found[measure.ranks(model)])
        for model in MODELS
        for measure in MEASURES
        if measure.ranks(model) in found
    }
    shown = found.get(PROMOTED, torch.zeros(0))
    if len(shown := shown[shown > 0]):  # of the users who do not have the item
        measured[EXPOSURE] = (shown <= 10).double().numpy()
    return estimates(measured | over_some_users(found, held_out))
