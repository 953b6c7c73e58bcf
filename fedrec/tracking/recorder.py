"""What happens on disk at the start of a run and at the end of each round."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from fedrec.data.protocol.heldout import HeldOut
from fedrec.errors import InputError
from fedrec.evaluation.baselines import popularity_score
from fedrec.evaluation.measures import hit_rate, ndcg
from fedrec.evaluation.ranking import sampled_ranks
from fedrec.files import replacing
from fedrec.runs.folder import RunFolder
from fedrec.runs.round_table import RoundTable

OBJECTIVE = "val/ndcg_10"


class RoundRecorder(Checkpoint):
    """At the end of each round: the running best, a row in ``metrics.csv`` and W&B, and the checkpoints, in this order.

    To the metrics of the module it adds ``val/ndcg_10_best``, what most popular items score on the selection items
    (``val/popular_…``) and the gap between the two (``val/gap_…``).

    The order makes a run that is killed at any moment and resumed end in the same bits as one that is not: the
    checkpoint of a round is only there when the round's row is, ``last.ckpt`` only when ``best.ckpt`` is, and what was
    written after ``last.ckpt`` is cut off or written again with the same content. So nothing that differs from run to
    run (seconds, paths, dates) goes into either; seconds stand in ``timings.csv``.

    Args:
        every_n_rounds: ``last.ckpt`` is written after every n-th round and when training ends or is asked to end by
            SIGTERM. ``best.ckpt`` is written after each round with a new best ``val/ndcg_10``.
        upload_best: Whether ``best.ckpt`` goes to W&B as an artifact when training ends.

    Attributes:
        best: Best value of the objective so far.
        best_round: Number of its round, from 0.
    """

    def __init__(self, every_n_rounds: int = 1, upload_best: bool = False) -> None:
        if every_n_rounds < 1:
            raise InputError(f"checkpoint.every_n_rounds={every_n_rounds}: expected at least 1")
        self.every_n_rounds, self.upload_best = every_n_rounds, upload_best
        self.best: float | None = None
        self.best_round = -1
        self._evaluated = False
        self._began = 0.0
        self._evaluation_seconds = 0.0

    def open(self, folder: RunFolder) -> None:
        """Say where to write."""
        self._folder = folder
        self._metrics, self._timings = RoundTable(folder.metrics), RoundTable(folder.timings)

    def state_dict(self) -> dict[str, Any]:
        """The running best."""
        return {"best": self.best, "best_round": self.best_round}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the running best."""
        self.best, self.best_round = state_dict["best"], state_dict["best_round"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Cut the tables to the rounds of the checkpoint that the run goes on from."""
        self._popular = _most_popular(HeldOut.of(trainer.datamodule.split, "validation"))  # type: ignore[attr-defined]
        if not trainer.is_global_zero:
            return
        rounds = trainer.current_epoch if self._folder.last.exists() else 0
        found = self._metrics.cut(rounds)
        if found < rounds:
            raise InputError(
                f"{self._metrics.path}: expected the rows of the checkpoint's {rounds} rounds, found {found}; "
                "the run cannot go on"
            )
        self._timings.cut(rounds)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._evaluated, self._evaluation_seconds, self._began = False, 0.0, time.perf_counter()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of the evaluation."""
        self._evaluation_seconds -= time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that this round has metrics of the selection item."""
        self._evaluated = True
        self._evaluation_seconds += time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the round."""
        row = _row(trainer.callback_metrics, self._evaluated)
        if OBJECTIVE in row:
            row |= {f"val/popular_{name}": value for name, value in self._popular.items()}
            row |= {f"val/gap_{name}": row[f"val/{name}"] - value for name, value in self._popular.items()}
        improved = OBJECTIVE in row and (self.best is None or row[OBJECTIVE] > self.best)
        if improved:
            self.best, self.best_round = row[OBJECTIVE], int(row["round"])
        if self.best is not None:
            row[f"{OBJECTIVE}_best"] = self.best
            pl_module.log(f"{OBJECTIVE}_best", self.best, logger=False)
        seconds = {
            "time/round_seconds": time.perf_counter() - self._began,
            "time/evaluation_seconds": self._evaluation_seconds,
        }
        if trainer.is_global_zero:
            self._metrics.append(row)
            self._timings.append({"round": row["round"], **seconds})
            for logger in trainer.loggers:
                logger.log_metrics({**row, **seconds}, step=trainer.current_epoch)
        self._save(trainer, improved)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Upload the best checkpoint, if asked to."""
        if self.upload_best and wandb.run is not None and self._folder.best.exists():
            wandb.run.log_artifact(str(self._folder.best), name=f"{self._folder.id}-best", type="model")

    def _save(self, trainer: Trainer, improved: bool) -> None:
        rounds = trainer.current_epoch + 1
        ending = rounds == trainer.max_epochs or trainer.should_stop or trainer.received_sigterm
        due = ending or rounds % self.every_n_rounds == 0
        if not (improved or due):
            return
        if trainer.is_global_zero:
            self._metrics.sync()
        if improved:
            trainer.save_checkpoint(self._folder.best)
        if due and not improved:
            trainer.save_checkpoint(self._folder.last)
        elif due and trainer.is_global_zero:
            _same_file(self._folder.best, self._folder.last)


def _row(metrics: Mapping[str, Tensor], evaluated: bool) -> dict[str, float]:
    """The round's metrics; those of an evaluation only if this round had one (Lightning keeps the old ones)."""
    named = {name: value.item() for name, value in metrics.items() if name.startswith(("train/", "val/"))}
    return {"round": metrics["round"].item()} | {
        name: value
        for name, value in named.items()
        if name != f"{OBJECTIVE}_best" and (evaluated or not name.startswith("val/"))
    }


def _most_popular(held_out: HeldOut) -> dict[str, float]:
    """What most popular items score on the selection items, by the metric's name."""
    rank = sampled_ranks(popularity_score(held_out.popularity), held_out, tile=2**20)
    return {"hr_10": float(hit_rate(rank, 10).mean()), "ndcg_10": float(ndcg(rank, 10).mean())}


def _same_file(source: Path, target: Path) -> None:
    """Give a checkpoint a second name: checkpoints are replaced, never changed, so both may be one file on the disk."""
    with replacing(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:  # a file system without hard links
            shutil.copyfile(source, temporary)
