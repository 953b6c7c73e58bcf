"""The moment a run begins to exist on disk and in W&B: everything is loaded and checked, the first round comes next."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import wandb
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from fedrec.errors import InputError
from fedrec.files import alone, write_text
from fedrec.runs.checkpoints import rounds_done
from fedrec.runs.folder import RunFolder
from fedrec.runs.identity import deciding_settings, differing_settings
from fedrec.runs.settings import FINGERPRINT, flat_settings
from fedrec.stopping import Terminated
from fedrec.tracking.provenance import write_config, write_fingerprint, write_provenance
from fedrec.tracking.wandb_run import start_wandb

SERVER_RATE = "model.server.lr"


class RunStart(Callback):
    """Writes ``config.yaml``, provenance and the data audit, and starts W&B; at the end, closes W&B.

    While it trains, no other process can train in the same folder.

    A bad file, option or checkpoint is found before this, so that it leaves nothing behind.

    Args:
        folder: The run folder.
        config: The resolved configuration.
        audit: The short data audit.
        use_wandb: Whether the run goes to W&B.
    """

    def __init__(self, folder: RunFolder, config: Mapping[str, Any], audit: str, use_wandb: bool) -> None:
        self._folder, self._config, self._audit, self._use_wandb = folder, config, audit, use_wandb
        self._rounds = 0
        self._changed: dict[str, list[Any]] = {}
        self._inside = ExitStack()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a run, or go on with it: what may have changed (the number of rounds, say) is written down.

        Raises:
            InputError: If another process is training in the folder.
        """
        if trainer.is_global_zero:
            self._folder.path.mkdir(parents=True, exist_ok=True)
            try:
                self._inside.enter_context(alone(self._folder.path, wait=False))
            except BlockingIOError:
                raise InputError(f"{self._folder.path}: another process is training in this run folder") from None
            # What changed is named before the configuration has it: a kill may fall between them.
            write_provenance(self._folder, self._rounds + 1, self._changed)
            write_config(self._folder, self._config)
            write_fingerprint(self._folder, trainer.datamodule.split)  # type: ignore[attr-defined]
            write_text(self._folder.audit, f"{self._audit}\n")
            print(self._audit, f"run folder {self._folder.path}", sep="\n", flush=True)
        self._start_wandb(trainer, "fit")

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a run of its own if the checkpoint under test came without its run folder; repeat warnings."""
        if trainer.is_global_zero:
            if not self._folder.config.exists():
                write_config(self._folder, self._config)
            # Of a run of before there were any too: the checkpoint under test holds the same split's hash.
            write_fingerprint(self._folder, trainer.datamodule.split)  # type: ignore[attr-defined]
            for line in self._audit.splitlines():
                if line.startswith("warning"):
                    print(line, flush=True)
        self._start_wandb(trainer, "test")

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Say under which settings the state came about."""
        checkpoint["settings"] = deciding_settings(self._config)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note what changed; let the server's new rate take the place of the one in its optimiser's state."""
        self._rounds = rounds_done(checkpoint)
        self._changed = differing_settings(checkpoint, self._config)
        if SERVER_RATE in self._changed:
            for state in checkpoint["optimizer_states"]:
                for group in state["param_groups"]:
                    group["lr"] = self._changed[SERVER_RATE][1]

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Close the W&B run."""
        self._close(0)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Close the W&B run: as a failed one, unless W&B's agent asked it to end (by hyperband, say)."""
        by_agent = isinstance(exception, Terminated) and "WANDB_SWEEP_ID" in os.environ
        self._close(0 if by_agent else 1)

    def _start_wandb(self, trainer: Trainer, job: str) -> None:
        if not (self._use_wandb and trainer.is_global_zero):
            return
        told = {FINGERPRINT: trainer.datamodule.split.fingerprint}  # type: ignore[attr-defined]
        logger = start_wandb(self._folder, flat_settings(self._config) | told, job)
        trainer.loggers = [*trainer.loggers, *([logger] if logger else [])]

    def _close(self, exit_code: int) -> None:
        self._inside.close()
        if wandb.run is not None:
            wandb.finish(exit_code=exit_code)
