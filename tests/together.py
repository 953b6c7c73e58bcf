"""Every method trained by several processes, as ``tests/test_processes.py`` compares it with one.

``python -m tests.together FOLDER``, with the environment that ``torchrun`` gives, is one of the processes: it goes
through all methods, since to start a process takes longer than to train all of them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import Tensor

from fedrec.data.datamodule import Synthetic
from fedrec.data.participants import Availability
from fedrec.data.protocol.presets import ProtocolOverrides
from fedrec.data.synthetic import Plan
from fedrec.errors import InputError
from fedrec.federation import FederatedRecommender
from fedrec.strategy import FederatedDDP
from tests.compositions import composition, names

OTHERS = Path(__file__).parent / "methods"
# Those whose clients can be divided, and some of servers to whom every process gives all uploads.
METHODS = [
    *(name for name in names() if composition(name).client.exchanges),
    "halved",
    "from_popularity",
    "compressed",
    "secure",
    "noised",
    "private",
    "promotion",
    "per_client_table",
    "trimmed_mean",
    "krum",
]
ROUNDS, HALF, SEED = 6, 3, 154
SICK = 17
"""A client whose private numbers are none, and who is left out wherever it has any."""


class Federation(FederatedRecommender):
    """In float64, so that the order of sums shows in the last digits alone; one client is sick from the start."""

    def initialise(self, num_users: int, num_items: int, rows_of_item: Tensor | None = None) -> None:
        super().initialise(num_users, num_items, rows_of_item)
        self.double()
        for name in self.private.names:
            self.private.get_buffer(name)[SICK] = float("nan")


class Rounds(L.Callback):
    """Takes down the metrics of every round; saves the state in the middle."""

    def __init__(self, middle: Path | None) -> None:
        self.metrics: list[dict[str, float]] = []
        self._middle = middle

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.metrics.append({name: float(value) for name, value in trainer.callback_metrics.items()})
        if self._middle and len(self.metrics) == HALF:
            trainer.save_checkpoint(self._middle)


@dataclass
class Trained:
    """What a training leaves behind."""

    state: dict[str, Any]
    rounds: list[dict[str, float]]
    test: dict[str, float]
    ranks: dict[str, Tensor]


def data() -> Synthetic:
    """Cohorts of nobody, of one client (fewer than processes) and of many."""
    plan, coins = Plan(users=24, items=40, rows=240), Availability("poisson", failure=0.2, max_examples=120)
    return Synthetic(overrides=ProtocolOverrides(candidates=6), plan=plan, client_fraction=0.2, availability=coins)


def trained(
    method: str,
    processes: int,
    middle: Path | None = None,
    resume: Path | None = None,
    strategy: Strategy | None = None,
    changed: Callable[[Federation], Any] = lambda model: None,
) -> Trained:
    """Train a method for six rounds.

    Args:
        method: Its name.
        processes: Of how many processes this is one.
        middle: Where the state after three rounds is saved.
        resume: A state from which the training goes on.
        strategy: Another than ours.
        changed: What is done to the model before.
    """
    parts = composition(method, OTHERS, small={}) if (OTHERS / f"{method}.yaml").exists() else composition(method)
    taken, model = Rounds(middle), parts.module(Federation, seed=SEED, max_left_out=1.0)
    changed(model)
    off = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(
        accelerator="cpu",
        devices=processes,
        strategy=strategy or (FederatedDDP() if processes > 1 else "auto"),
        max_epochs=ROUNDS,
        num_sanity_val_steps=0,
        callbacks=[taken],
        **off,  # type: ignore[arg-type]
    )
    trainer.fit(model, datamodule=data(), ckpt_path=resume, weights_only=True)
    found: list[dict[str, Tensor]] = []
    step = model.test_step
    model.test_step = lambda *given: found.append(step(*given)) or found[-1]  # type: ignore[method-assign, func-returns-value]
    (test,) = trainer.test(model, datamodule=data(), verbose=False)
    return Trained(model.state_dict(), taken.metrics, dict(test), found[0])


def fail(model: Federation) -> None:
    """Let the clients of the last process meet something that nobody else meets."""

    def train(*_: object) -> None:
        raise InputError("only here")

    if os.environ["LOCAL_RANK"] == "1":
        model.client.train = train  # type: ignore[assignment]


def strict(model: Federation) -> None:
    """Let no client be left out."""
    model.max_left_out = 0


# Trainings that end with an error of all processes.
ENDS: dict[str, dict[str, Any]] = {
    "central": {"method": "central-mf"},
    "gradients": {"method": "fedncf", "strategy": DDPStrategy()},
    "one fails": {"method": "fedncf", "changed": fail},
    "sick": {"method": "fedncf", "changed": strict},
}


def main(folder: Path) -> None:
    """Be one of the processes: train every method, from the start and from what one process has saved."""
    for method in METHODS:
        for name, middle, resume in (
            ("whole", folder / f"{method}.two.ckpt", None),
            ("rest", None, folder / f"{method}.one.ckpt"),
        ):
            made = trained(method, 2, middle, resume)
            rank = torch.distributed.get_rank()
            torch.save(vars(made), folder / f"{method}.{name}.{rank}.pt")
    said = {}
    for name, given in ENDS.items():
        try:
            trained(processes=2, **given)
        except InputError as error:
            said[name] = [type(error).__name__, str(error)]
    (folder / f"ends.{rank}.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
