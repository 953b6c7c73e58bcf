"""Progress of training, counted in rounds."""

from __future__ import annotations

import sys
import time
from math import isnan

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

FIGURES = {"loss": "train/loss", "HR@10": "val/hr_10", "NDCG@10": "val/ndcg_10"}


class RoundProgress(ProgressBar):
    """One bar for all rounds with loss, HR@10 and NDCG@10; where output is no terminal, a line every few rounds.

    Args:
        lines: How many lines to print over the whole training where there is no terminal.
    """

    def __init__(self, lines: int = 10) -> None:
        super().__init__()
        self.lines = lines
        self._enabled = True
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._began = 0.0
        self._first = 0
        self._evaluated = False

    def disable(self) -> None:
        """Show nothing (Lightning calls this on all processes but the first)."""
        self._enabled = False

    def enable(self) -> None:
        """Show progress again."""
        self._enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar at the round from which training goes on."""
        self._began, self._first = time.monotonic(), trainer.current_epoch
        console = Console(file=sys.stdout)
        if not (self._enabled and console.is_terminal) or console.is_jupyter:
            return
        self._bar = Progress(
            TextColumn("round"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            refresh_per_second=4,
        )
        self._task = self._bar.add_task("", total=_planned(trainer), completed=self._first, figures="")
        self._bar.start()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Nothing of this round is measured yet."""
        self._evaluated = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that this round was evaluated: Lightning keeps the figures of earlier ones."""
        self._evaluated = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the round's figures."""
        if not self._enabled:
            return
        done, rounds = trainer.current_epoch + 1, _planned(trainer)
        figures = _figures(trainer, self._evaluated)
        if self._bar:
            self._bar.update(self._task, completed=done, figures=figures)
        elif done % max(1, (rounds or 0) // max(1, self.lines)) == 0 or done == rounds:
            number = f"{done:>{len(str(rounds))}}/{rounds}" if rounds else done
            print(f"round {number}  {figures}  after {time.monotonic() - self._began:.1f} s", flush=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the full bar on the terminal."""
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the terminal back."""
        self._stop()

    def _stop(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None


def _planned(trainer: Trainer) -> int | None:
    """How many rounds there are to be; None: until something else ends the run."""
    return trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else None


def _figures(trainer: Trainer, evaluated: bool) -> str:
    """What is known of this round; without an evaluation of its own it has no figures of one."""
    shown = {name: key for name, key in FIGURES.items() if evaluated or key.startswith("train/")}
    metrics = {name: value.item() for name, value in trainer.callback_metrics.items()}
    known = {name: metrics[key] for name, key in shown.items() if key in metrics and not isnan(metrics[key])}
    return "  ".join(f"{name} {value:.4f}" for name, value in known.items())
