"""Recording of rounds: the running best, tables and checkpoints, so that a killed run can go on to the same bits."""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import wandb
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from fedrec.data.protocol.heldout import HeldOut
from fedrec.errors import InputError, LostProcessError
from fedrec.evaluation.baselines import popularity_score
from fedrec.evaluation.measures import hit_rate, ndcg
from fedrec.evaluation.ranking import full_ranks, sampled_ranks
from fedrec.evaluation.tiles import OF_BASELINES
from fedrec.files import replacing
from fedrec.runs.checkpoints import rounds_done
from fedrec.runs.folder import RunFolder
from fedrec.runs.round_table import RoundTable
from fedrec.runs.settings import OBJECTIVES, ROUND
from fedrec.stopping import Noted, handling, stop

OBJECTIVE = OBJECTIVES["sampled"]


class RoundRecorder(Checkpoint):
    """Records every round: first a row in ``metrics.csv`` and for the loggers, then the checkpoints that are due.

    To the module's metrics of a round it adds the best value of the objective so far (``val/ndcg_10_best``), what most
    popular items score on the selection items (``val/popular_…``), and how far the model is above that (``val/gap_…``).

    A run that is killed at any moment and resumed ends in the same bits as one that was never interrupted. Three rules
    make it so:

    - A round's row is on the disk before its checkpoint. On resuming, rows after the last checkpoint are cut off, and
      training writes them again.
    - ``last.ckpt`` is written first; after a new best, it gets the second name ``best.ckpt``. If the run was killed in
      between, the second name is given on resuming.
    - Nothing that differs from run to run (seconds, paths, dates) goes into either. Seconds stand in ``timings.csv``.

    Ctrl-C and SIGTERM end the training as soon as the round is recorded; a second one ends it at once.

    Args:
        every_n_rounds: ``last.ckpt`` is written after every n-th round. It is also written after a round with a new
            best, when training ends, and when a signal asks for the end.
        upload_best: Whether ``best.ckpt`` goes to W&B as an artifact when training ends.
        select: What the best round is best by: NDCG@10 of the selection items among their candidates (``sampled``,
            ``val/ndcg_10``), or among all items that their users have not seen (``full``, ``val/full_ndcg_10``), among
            which validation then ranks them, too. The two often disagree (Krichene and Rendle, KDD 2020).

    Attributes:
        objective: The metric of which the best value is kept.
        best: Best value of the objective so far.
        best_round: Its round, counted from 1; 0 before there is one.
    """

    def __init__(
        self, every_n_rounds: int = 1, upload_best: bool = False, select: Literal["sampled", "full"] = "sampled"
    ) -> None:
        if every_n_rounds < 1:
            raise InputError(f"checkpoint.every_n_rounds={every_n_rounds}: expected at least 1")
        self.every_n_rounds, self.upload_best = every_n_rounds, upload_best
        self.select, self.objective = select, OBJECTIVES[select]
        self.best: float | None = None
        self.best_round = 0
        self._saved = 0  # rounds in last.ckpt
        self._evaluated = False
        self._began = 0.0
        self._evaluation_seconds = 0.0
        self._signal = Noted()
        self._training = ExitStack()

    def open(self, folder: RunFolder) -> None:
        """Set the run folder to write to; called once, before training."""
        self._folder = folder
        self._metrics, self._timings = RoundTable(folder.metrics), RoundTable(folder.timings)

    def state_dict(self) -> dict[str, Any]:
        """The running best."""
        return {"best": self.best, "best_round": self.best_round}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the running best."""
        self.best, self.best_round = state_dict["best"], state_dict["best_round"]

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Tell the module what to rank among, and not to log rounds itself: here the loggers get each round whole."""
        pl_module.logs_itself = False  # type: ignore[assignment]
        pl_module.ranks_all = self.select == "full"  # type: ignore[assignment]

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note how many rounds the checkpoint has seen."""
        self._saved = rounds_done(checkpoint)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """On resuming, cut the tables to the checkpoint's rounds, and make ``best.ckpt`` if a kill prevented that."""
        if not trainer.is_global_zero:
            return
        rounds = self._metrics.cut(self._saved)
        if rounds < self._saved:
            raise InputError(
                f"{self._metrics.path}: expected the rows of the checkpoint's {self._saved} rounds, found {rounds}; "
                "the run cannot go on"
            )
        self._timings.cut(self._saved)
        if self.best_round and self.best_round == self._saved:
            _same_file(self._folder.last, self._folder.best)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """From here on, a signal waits for the end of the round."""
        held_out = HeldOut.of(trainer.datamodule.split, "validation")  # type: ignore[attr-defined]
        self._popular = most_popular(held_out, self.select == "full")
        self._signal = Noted()
        self._training.enter_context(handling(self._signal))

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
        number = trainer.current_epoch + 1
        row = {ROUND: float(number), **_figures(trainer.callback_metrics, self._evaluated)}
        if self.objective in row:
            row |= beside_popular(row, self._popular)
        improved = self.objective in row and (self.best is None or row[self.objective] > self.best)
        if improved:
            self.best, self.best_round = row[self.objective], number
        if self.best is not None:
            row[f"{self.objective}_best"] = self.best
            pl_module.log(f"{self.objective}_best", self.best, logger=False)
        seconds = {
            "time/round_seconds": time.perf_counter() - self._began,
            "time/evaluation_seconds": self._evaluation_seconds,
        }
        if trainer.is_global_zero:
            self._metrics.append(row)
            self._timings.append({ROUND: row[ROUND], **seconds})
            for logger in trainer.loggers:
                logger.log_metrics({**row, **seconds}, step=number)
        # A signal may have come to one of several processes, and all must end after the same round.
        asked = pl_module.processes.largest(self._signal.number or 0)  # type: ignore[operator, union-attr]
        self._end_round(trainer, number, improved, asked)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Upload the best checkpoint, if asked to."""
        self._training.close()
        if self.upload_best and wandb.run is not None and self._folder.best.exists():
            wandb.run.log_artifact(str(self._folder.best), name=f"{self._folder.id}-best", type="model")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Say how to go on, where it was a signal, or the end of another process, that ended the training."""
        self._training.close()
        stopped = isinstance(exception, KeyboardInterrupt | LostProcessError)
        if stopped and trainer.state.fn == "fit" and self._folder.config.exists():
            how = str(exception) if isinstance(exception, LostProcessError) else "stopped"
            resume = f"fedrec fit --resume {shlex.quote(str(self._folder.path))}"
            exception.args = (f"{how}, {self._saved} of {trainer.max_epochs} rounds are saved; go on with {resume}",)

    def _end_round(self, trainer: Trainer, number: int, improved: bool, asked: int) -> None:
        """Write the checkpoints that are due, and obey a signal, where one came during the round."""
        over = number == trainer.max_epochs or trainer.should_stop
        if improved or over or asked or number % self.every_n_rounds == 0:
            if trainer.is_global_zero:
                self._metrics.sync()
            trainer.save_checkpoint(self._folder.last)
            self._saved = number
            if improved and trainer.is_global_zero:
                _same_file(self._folder.last, self._folder.best)
        if asked and not over:
            stop(asked)


def _figures(metrics: Mapping[str, Tensor], evaluated: bool) -> dict[str, float]:
    """The round's metrics; those of an evaluation only if this round had one (Lightning keeps the old ones)."""
    return {
        name: value.item()
        for name, value in metrics.items()
        if name.startswith("train/") or (evaluated and name.startswith("val/") and not name.endswith("_best"))
    }


def beside_popular(row: Mapping[str, float], popular: Mapping[str, float]) -> dict[str, float]:
    """What most popular items score, and how far a round's figures are above that, by the names of metrics.

    Args:
        row: The round's figures.
        popular: As :func:`most_popular` gives it.
    """
    gaps = {f"val/gap_{name}": row[f"val/{name}"] - value for name, value in popular.items()}
    return {f"val/popular_{name}": value for name, value in popular.items()} | gaps


def most_popular(held_out: HeldOut, among_all: bool = False) -> dict[str, float]:
    """What most popular items score, by the metric's name.

    Args:
        held_out: The selection items.
        among_all: Whether also among all items that their users have not seen.
    """
    score = popularity_score(held_out.popularity)
    ranks = {"": sampled_ranks(score, held_out, OF_BASELINES)} | (
        {"full_": full_ranks(score, held_out, OF_BASELINES)} if among_all else {}
    )
    measures = {"hr_10": hit_rate, "ndcg_10": ndcg}
    return {f"{k}{name}": float(of(rank, 10).mean()) for k, rank in ranks.items() for name, of in measures.items()}


def _same_file(source: Path, target: Path) -> None:
    """Give a checkpoint a second name: checkpoints are replaced, never changed, so both may be one file on the disk."""
    with replacing(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:  # a file system without hard links
            shutil.copyfile(source, temporary)
