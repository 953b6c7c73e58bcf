"""What a sweep leaves on disk, so that a killed one goes on where it stood.

A sweep's folder holds ``sweep.json`` (its id and the file it answers), ``ledger.jsonl`` (one line per ended trial),
``trials/NNNN.json`` (a trial's options, written before it starts), ``trials/NNNN.log`` (what it printed) and the run
folders ``runs/<sweep id>-NNNN``. A trial with options but without a line in the ledger was under way when the sweep
ended. Locks (POSIX) say who is at work: one on the folder, one on each trial, held by the trial's own process and so
true even after the sweep itself was killed.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from fedrec.errors import InputError
from fedrec.files import write_text, written_on
from fedrec.sweep.file import SweepFile
from fedrec.sweep.space import is_number

State = Literal["running", "finished", "stopped", "failed"]
ENDED = ("finished", "stopped", "failed")
ID = re.compile(r"[0-9a-f]{8}")
PLAN = re.compile(r"\d{4,9}")


@dataclass
class Trial:
    """One setting of the swept options and what became of it.

    Attributes:
        number: Place in the sweep, from 0.
        run: Name of its run folder and W&B id.
        parameters: Dotted option of ``fedrec fit`` to value.
        state: ``finished`` means that every round was done, ``stopped`` that hyperband ended it early, ``failed`` that
            the process ended with an error. Anything else is ``running``, and has no line in the ledger.
        best: Best objective seen, or none.
        history: Objective of every round that logged it, in order; the best so far is logged from the first ranking on.
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
        InputError: If the folder belongs to another sweep, or ``sweep.json`` is damaged.
    """

    def __init__(self, path: Path, sweep: SweepFile) -> None:
        self.path = path
        self._sweep = sweep
        self._ledger = path / "ledger.jsonl"
        self.trials_path.mkdir(parents=True, exist_ok=True)
        self.id = self._identify()
        self._cut_torn_line()

    @property
    def trials_path(self) -> Path:
        """Folder of the trials' options, logs and locks."""
        return self.path / "trials"

    @property
    def ended_on(self) -> str:
        """The day on which its last trial ended, ``YYYY-MM-DD`` in UTC."""
        return written_on(self._ledger)

    def file(self, number: int, suffix: str) -> Path:
        """Path of a trial's ``json``, ``log`` or ``lock`` file."""
        return self.trials_path / f"{number:04d}.{suffix}"

    def run_folder(self, trial: Trial) -> Path:
        """Run folder of a trial."""
        return self.path / "runs" / trial.run

    def plan(self, number: int, parameters: dict[str, Any]) -> Trial:
        """Write a new trial's options, before anything of it runs."""
        write_text(self.file(number, "json"), json.dumps(parameters, indent=2) + "\n")
        return Trial(number, self._run(number), parameters)

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
        """Return all trials in order; those without a line in the ledger are ``running``.

        Raises:
            InputError: If the ledger or a trial's options are damaged, with file and line.
        """
        trials = self._ended()
        planned = (int(path.stem) for path in self.trials_path.glob("*.json") if PLAN.fullmatch(path.stem))
        for number in planned:
            if number not in trials:
                trials[number] = self._planned(number)
        return [trials[number] for number in sorted(trials)]

    def _ended(self) -> dict[int, Trial]:
        content = self._ledger.read_bytes() if self._ledger.exists() else b""
        trials: dict[int, Trial] = {}
        for line, text in enumerate(content.splitlines(), start=1):
            entry = _json(text)
            fault = self._fault(entry)
            if not fault and entry["number"] in trials:
                fault = f"a second line of trial {entry['number']}"
            if fault:
                raise InputError(f"{self._ledger}, line {line}: not a line that fedrec sweep wrote ({fault})")
            trials[entry["number"]] = Trial(**entry)
        return trials

    def _fault(self, entry: Any) -> str:
        """What is wrong with a line of the ledger; nothing is empty."""
        names = [name for name in Trial.__dataclass_fields__ if name != "history"]
        if not isinstance(entry, dict) or sorted(entry) != sorted(names):
            return f"expected a JSON object with {', '.join(names)}"
        number, best, seconds = entry["number"], entry["best"], entry["seconds"]
        if type(number) is not int or number < 0 or entry["run"] != self._run(number):
            return f"trial {number!r} of this sweep has no run {entry['run']!r}"
        if entry["state"] not in ENDED:
            return f"state is {entry['state']!r}; expected {', '.join(ENDED)}"
        if not (best is None or is_number(best)) or not is_number(seconds):
            return f"best is {best!r}, seconds is {seconds!r}; expected numbers"
        return self._foreign(entry["parameters"])

    def _planned(self, number: int) -> Trial:
        path = self.file(number, "json")
        parameters = _json(path.read_bytes())
        fault = self._foreign(parameters)
        if fault:
            raise InputError(f"{path}: not options that fedrec sweep wrote ({fault}); delete it to plan the trial anew")
        return Trial(number, self._run(number), parameters)

    def _foreign(self, parameters: Any) -> str:
        """What in a trial's options is not of this sweep's space; nothing is empty."""
        if not isinstance(parameters, dict) or parameters.keys() != self._sweep.space.keys():
            return f"expected a value for each of {', '.join(self._sweep.space)}"
        wrong = [key for key, value in parameters.items() if not self._sweep.space[key].holds(value)]
        return f"{wrong[0]} cannot be {parameters[wrong[0]]!r} in this sweep" if wrong else ""

    def _run(self, number: int) -> str:
        return f"{self.id}-{number:04d}"

    def _identify(self) -> str:
        # run_cap may be raised later; anything else would mix the answers to two questions.
        question = {key: value for key, value in self._sweep.content.items() if key not in ("run_cap", "description")}
        header = self.path / "sweep.json"
        if not header.exists():
            if self._ledger.exists():
                raise InputError(f"{header}: missing beside a ledger; restore it or give another folder with --out")
            write_text(header, json.dumps({"id": secrets.token_hex(4), "sweep": question}, indent=2) + "\n")
        known = _json(header.read_bytes())
        identity = known.get("id") if isinstance(known, dict) else None
        if not isinstance(identity, str) or not ID.fullmatch(identity) or not isinstance(known.get("sweep"), dict):
            raise InputError(f"{header}: not what fedrec sweep wrote; restore it or give another folder with --out")
        asked = known["sweep"]
        if asked != question:
            keys = sorted(key for key in {*asked, *question} if asked.get(key) != question.get(key))
            raise InputError(
                f"{self.path} belongs to another version of {self._sweep.path}: {', '.join(keys)} differ; "
                "restore the file or give another folder with --out"
            )
        return identity

    def _cut_torn_line(self) -> None:
        # A kill within the one write of a line leaves its beginning; the trial then counts as under way.
        if self._ledger.exists():
            content = self._ledger.read_bytes()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                os.truncate(self._ledger, whole)


def holds_sweep(path: Path) -> bool:
    """Whether a folder holds a sweep already."""
    return (path / "sweep.json").exists()


def _json(content: bytes) -> Any:
    """Read JSON; what is none reads as null, which nothing here can be."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
