"""What ``fit`` says when it has trained: what ended it, its best round, what comes next."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator

from lightning import Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping, Timer

from fedrec.runs.folder import RunFolder
from fedrec.tracking.recorder import RoundRecorder


def said_at_the_end(
    trainer: Trainer, callbacks: Collection[Callback], recorder: RoundRecorder, folder: RunFolder, trust: str
) -> Iterator[str]:
    """Lines for people.

    Args:
        trainer: The trainer, after it has trained.
        callbacks: Those of the configuration; ``trainer.max_time`` adds a timer of its own.
        recorder: What recorded the rounds.
        folder: The run folder.
        trust: The options ``--trust`` that the next command needs, each after a blank.
    """
    done, planned = trainer.current_epoch, trainer.max_epochs or 0
    if done != planned:
        of = f" of {planned} rounds" if planned > 0 else f" round{'s' * (done != 1)}"
        yield f"stopped by {_stopped_by(trainer, callbacks)} after {done}{of}"
    test = f"fedrec test --resume {shlex.quote(str(folder.path))}{trust}"
    if recorder.best is not None:
        yield f"best round {recorder.best_round}: {recorder.objective} {recorder.best:.4f}"
        yield f"next: {test}"
    elif folder.last.exists():
        no_best = f"no round was evaluated, so there is no {folder.best.name}"
        yield f"{no_best}; next, with the last round: {test} --ckpt_path {shlex.quote(str(folder.last))}"
    else:
        yield "nothing was trained, so there is no checkpoint"


def _stopped_by(trainer: Trainer, callbacks: Collection[Callback]) -> str:
    ended = [one for one in trainer.callbacks if _has_ended(one)]  # type: ignore[attr-defined]
    names = [type(one).__name__ if one in callbacks else "trainer.max_time" for one in ended]
    return " and ".join(names) or ("a callback" if trainer.should_stop else "trainer.max_steps")


def _has_ended(callback: Callback) -> bool:
    """Whether a callback of Lightning's has asked for the end."""
    if isinstance(callback, Timer):
        left = callback.time_remaining()
        return left is not None and left <= 0
    return isinstance(callback, EarlyStopping) and callback.stopping_reason_message is not None
