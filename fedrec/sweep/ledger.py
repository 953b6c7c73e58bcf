"""What a sweep leaves on disk, so that a killed one goes on where it stood.

A sweep's folder holds ``sweep.json`` (its id and the file it answers), ``ledger.jsonl`` (one line per ended trial),
``trials/NNNN.json`` (a trial's options, written before it starts), ``trials/NNNN.log`` (what it printed) and the run
folders ``runs/<sweep id>-NNNN``. A trial with options but without a line in the ledger was under way when the sweep
ended. File locks (POSIX) say who is at work: one on the folder, one on each trial, held by the trial's own process and
so true even after the sweep itself was killed.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from fedrec.errors import InputError
from fedrec.files import write_text
from fedrec.sweep.file import SweepFile

State = Literal["running", "finished", "stopped", "failed"]


@dataclass
class Trial:
    """One setting of the swept options and what became of it.

    Attributes:
        number: Place in the sweep, from 0.
        run: Name of its run folder and W&B id.
        parameters: Dotted option of ``fedrec fit`` to value.
        state: ``stopped`` means stopped early by hyperband; ``failed`` means the process ended with an error.
        best: Best objective seen, or none.
        history: Objective after each validation, in order.
        seconds: Wall-clock seconds of its last process.
    """

    number: int
    run: str
    parameters: dict[str, Any]
    state: State = "running"
    best: float | None = None
    history: list[float] = field(default_factory=list, repr=False)
    seconds: float = 0.0


class SweepFolder:
    """The folder of one sweep: reads what was done, records what is being done.

    Args:
        path: The folder; created with its ``sweep.json`` when it does not hold a sweep yet.
        sweep: The file the folder must belong to.

    Raises:
        InputError: If the folder belongs to another sweep, or its ledger is damaged before its last line.
    """

    def __init__(self, path: Path, sweep: SweepFile) -> None:
        self.path = path
        self._ledger = path / "ledger.jsonl"
        self.trials_path.mkdir(parents=True, exist_ok=True)
        self.id = self._identify(sweep)
        self._cut_torn_line()

    @property
    def trials_path(self) -> Path:
        """Folder of the trials' options, logs and locks."""
        return self.path / "trials"

    def file(self, number: int, suffix: str) -> Path:
        """Path of a trial's ``json``, ``log`` or ``lock`` file."""
        return self.trials_path / f"{number:04d}.{suffix}"

    def run_folder(self, trial: Trial) -> Path:
        """Run folder of a trial."""
        return self.path / "runs" / trial.run

    def plan(self, number: int, parameters: dict[str, Any]) -> Trial:
        """Write a new trial's options, before anything of it runs."""
        write_text(self.file(number, "json"), json.dumps(parameters, indent=2) + "\n")
        return self._trial(number, parameters)

    def record(self, trial: Trial) -> None:
        """Append an ended trial's line to the ledger, in one write that has reached the disk on return."""
        entry = {key: value for key, value in asdict(trial).items() if key != "history"}
        descriptor = os.open(self._ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, (json.dumps(entry) + "\n").encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def trials(self) -> list[Trial]:
        """Return all trials in order; those without a line in the ledger are ``running``."""
        ended = {trial.number: trial for trial in self._ended()}
        planned = sorted(int(path.stem) for path in self.trials_path.glob("*.json"))
        return [ended.get(number) or self._read_plan(number) for number in planned]

    def _ended(self) -> Iterator[Trial]:
        lines = self._ledger.read_text(encoding="utf-8").splitlines() if self._ledger.exists() else []
        for number, line in enumerate(lines, start=1):
            try:
                yield Trial(**json.loads(line))
            except (ValueError, TypeError):
                raise InputError(f"{self._ledger}, line {number}: not a line that fedrec sweep wrote") from None

    def _read_plan(self, number: int) -> Trial:
        return self._trial(number, json.loads(self.file(number, "json").read_text(encoding="utf-8")))

    def _trial(self, number: int, parameters: dict[str, Any]) -> Trial:
        return Trial(number=number, run=f"{self.id}-{number:04d}", parameters=parameters)

    def _identify(self, sweep: SweepFile) -> str:
        # run_cap may be raised later; anything else would mix the answers to two questions.
        question = {key: value for key, value in sweep.content.items() if key not in ("run_cap", "description")}
        header = self.path / "sweep.json"
        if not header.exists():
            known = {"id": secrets.token_hex(4), "sweep": question}
            write_text(header, json.dumps(known, indent=2) + "\n")
        known = json.loads(header.read_text(encoding="utf-8"))
        if known["sweep"] != json.loads(json.dumps(question)):
            keys = sorted(k for k in {*known["sweep"], *question} if known["sweep"].get(k) != question.get(k))
            raise InputError(
                f"{self.path} belongs to another version of {sweep.path}: {', '.join(keys)} differ; "
                "restore the file or give another folder with --out"
            )
        return str(known["id"])

    def _cut_torn_line(self) -> None:
        if self._ledger.exists():
            content = self._ledger.read_bytes()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                os.truncate(self._ledger, whole)


def holds_sweep(path: Path) -> bool:
    """Whether a folder holds a sweep already."""
    return (path / "sweep.json").exists()


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold a sweep's folder for this process.

    Raises:
        InputError: If another process holds it.
    """
    path.mkdir(parents=True, exist_ok=True)
    with (path / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{path}: another fedrec sweep is at work in this folder") from None
        yield
