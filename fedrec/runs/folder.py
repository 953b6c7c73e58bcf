"""The run folder: ``<default_root_dir>/runs/<id>/``."""

from __future__ import annotations

import os
import re
import secrets
import shlex
from dataclasses import dataclass
from pathlib import Path

from fedrec.errors import InputError

ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps what it leaves behind.

    Attributes:
        path: The folder; its name is the run's id, in W&B too.
    """

    path: Path

    @classmethod
    def new(cls, root: Path) -> RunFolder:
        """Name the folder of a new run; nothing is written yet.

        Args:
            root: The trainer's ``default_root_dir``.

        Returns:
            The folder named after ``$WANDB_RUN_ID`` if that is set, else after a random id.

        Raises:
            InputError: If the id cannot be a folder's and a W&B run's name, or there is such a run already.
        """
        name = os.environ.get("WANDB_RUN_ID") or secrets.token_hex(4)
        if not ID.fullmatch(name):
            raise InputError(
                f"WANDB_RUN_ID={name!r}: expected a name of at most 128 letters, digits, `_`, `-` and `.`, "
                "not beginning with `.`"
            )
        folder = cls(root / "runs" / name)
        if folder.config.exists():
            raise InputError(
                f"{folder.path}: there is a run of this id (WANDB_RUN_ID) already; "
                f"go on with it by `fedrec fit --resume {shlex.quote(str(folder.path))}`, or choose another id"
            )
        return folder

    @classmethod
    def existing(cls, path: Path) -> RunFolder:
        """Open the folder of a run that was started.

        Raises:
            InputError: If it is no run folder.
        """
        folder = cls(path)
        if not folder.config.is_file():
            raise InputError(f"{path}: not a run folder, there is no config.yaml in it; a run begins with that file")
        return folder

    @property
    def id(self) -> str:
        """The run's id."""
        return self.path.resolve().name

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def provenance(self) -> Path:
        """One line per process that trained here: from which round on, with which versions, on what machine."""
        return self.path / "provenance.jsonl"

    @property
    def fingerprint(self) -> Path:
        """On what data and under what protocol, as a digest and in words."""
        return self.path / "fingerprint.json"

    @property
    def audit(self) -> Path:
        """The short data audit that stands at the head of the run's log."""
        return self.path / "audit.txt"

    @property
    def metrics(self) -> Path:
        """One row per round; a function of the configuration alone."""
        return self.path / "metrics.csv"

    @property
    def timings(self) -> Path:
        """One row per round: seconds. They differ from run to run, so they are not in ``metrics.csv``."""
        return self.path / "timings.csv"

    @property
    def last(self) -> Path:
        """The newest checkpoint."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def best(self) -> Path:
        """The checkpoint of the best round."""
        return self.path / "checkpoints" / "best.ckpt"

    @property
    def test(self) -> Path:
        """Results of ``test``."""
        return self.path / "test.json"

    @property
    def disclosure(self) -> Path:
        """What uploads disclose, as ``fedrec privacy`` measures it; ``disclosure.csv`` beside it has every client."""
        return self.path / "disclosure.json"

    @property
    def ranks(self) -> Path:
        """Per-user ranks of ``test``."""
        return self.path / "ranks.parquet"
