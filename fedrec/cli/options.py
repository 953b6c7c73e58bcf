"""The options there are: the parser, what stands in its groups, and what the trainer's may be."""

from __future__ import annotations

import os
import re
from typing import Any, NoReturn, get_type_hints

from jsonargparse import Namespace
from lightning import Trainer
from lightning.pytorch.cli import LightningArgumentParser

from fedrec.cli.messages import one_sentence
from fedrec.data.datamodule import FederatedData
from fedrec.errors import InputError
from fedrec.federation import FederatedRecommender
from fedrec.precision import check_precision
from fedrec.tracking.predictions import PredictionWriter
from fedrec.tracking.progress import RoundProgress
from fedrec.tracking.recorder import RoundRecorder

TRAINER_DEFAULTS = {
    "accelerator": "cpu",
    "devices": 1,
    "max_epochs": 100,
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 1,
    "enable_model_summary": False,
    "use_distributed_sampler": False,
}
# Groups of options that fedrec adds, and what stands in every group: a value, a class's arguments, or a subclass.
OWN = {"checkpoint": RoundRecorder, "progress": RoundProgress, "recommend": PredictionWriter}
GROUPS: dict[str, Any] = {
    "seed_everything": int,
    "data": FederatedData,
    **{name: (made,) for name, made in {"trainer": Trainer, "model": FederatedRecommender, **OWN}.items()},
}
# Under the options of `fit`; measured, see docs/performance.md.
SEVERAL = (
    "Several processes: --trainer.devices 2 --trainer.strategy ddp. On two cores, two processes of one thread each "
    "train large rounds faster than two threads of one process (FedRecGEL on ML-100K 1.2 times), small ones about as "
    "fast; they are slower where clients keep item rows (PFedRec), which all processes send each other."
)


class Parser(LightningArgumentParser):
    """A parser whose errors are one sentence."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the error as bad input."""
        if not self.exit_on_error:  # a parser of one class's options; its report becomes part of another's
            super().error(message, ex)
        raise InputError(one_sentence(message, self._option_string_actions, parts()))


def check_trainer(trainer: Namespace) -> None:
    """Refuse options of the trainer that have no meaning for rounds, before anything is read.

    Raises:
        InputError: Naming the option and what was expected.
    """
    check_precision(trainer.precision)
    every = trainer.check_val_every_n_epoch
    if every is not None and every < 1:
        raise InputError(f"trainer.check_val_every_n_epoch={every}: expected a number of rounds, at least 1")
    interval = trainer.val_check_interval
    if every is not None and isinstance(interval, (int, float)) and interval > 1:
        raise InputError(
            f"trainer.val_check_interval={interval}: a round is one batch; every how many rounds to measure is "
            "trainer.check_val_every_n_epoch"
        )
    if trainer.max_epochs is None:
        raise InputError("trainer.max_epochs: expected a number of rounds, got null")
    if max(map(int, re.findall(r"\d+", str(trainer.devices))), default=0) > (os.cpu_count() or 1):
        raise InputError(f"trainer.devices={trainer.devices}: this machine has {os.cpu_count()} processors")
    if trainer.limit_train_batches == 0:
        raise InputError("trainer.limit_train_batches=0: expected at least 1; a round is one batch")


def parts() -> dict[str, type]:
    """By option that takes a class: what the class must be."""
    hints = get_type_hints(FederatedRecommender.__init__)
    of_model = {
        f"model.{name}": hint for name, hint in hints.items() if getattr(hint, "__module__", "").startswith("fedrec")
    }
    return {"data": FederatedData, **of_model}
