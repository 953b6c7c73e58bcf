"""A trial as a process: ``python -m fedrec fit`` with its own options, log, lock and run folder."""

from __future__ import annotations

import math
import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

from fedrec.errors import InputError
from fedrec.files import alone
from fedrec.runs.folder import RunFolder
from fedrec.runs.plain import load_plain
from fedrec.runs.progress import done_rounds, planned_rounds
from fedrec.runs.round_table import read_rounds
from fedrec.runs.settings import flat_settings
from fedrec.sweep import warm
from fedrec.sweep.file import SweepFile
from fedrec.sweep.ledger import State, SweepFolder, Trial

PATIENCE = 30.0  # seconds between SIGTERM, on which a fit saves its checkpoint and ends, and SIGKILL
# Exit statuses of a process that was asked to end: by itself, as shells expect it, or before it could take the signal.
ASKED_TO_END = (128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGINT, -signal.SIGTERM)
# Settings by which a run may end, with status 0, before its last round.
MAY_END_EARLY = ("trainer.callbacks", "trainer.max_time")


class TrialProcess:
    """One running trial.

    A trial that was under way when the sweep ended goes on from its last checkpoint in the same run folder; without a
    checkpoint it starts again in an empty one. The process holds the trial's lock for as long as it lives.

    Args:
        sweep: The sweep's file.
        folder: The sweep's folder.
        trial: The trial to run.
        threads: Threads torch may use in the process.
        program: What is run, ``fedrec fit``.
    """

    def __init__(
        self, sweep: SweepFile, folder: SweepFolder, trial: Trial, threads: int, program: warm.Program
    ) -> None:
        self.trial = trial
        self._metric = sweep.metric
        self._folder = RunFolder(folder.run_folder(trial))
        self._asked_to_stop: float | None = None
        self._started = time.monotonic()
        lock = folder.file(trial.number, "lock")
        lock.touch()
        self._log = folder.file(trial.number, "log")
        with alone(lock) as held, self._log.open("ab") as log:
            environment = _environment(sweep, folder, trial, threads)
            argv = _arguments(sweep, folder, trial)
            self._process = warm.start(program, argv, environment, log.fileno(), held)

    def poll(self) -> bool:
        """Read the trial's metrics and return whether its process has ended; its state is then set.

        A trial that was asked to end by somebody else stays ``running``: it has rounds to do.
        """
        code = self._process.exitcode
        with suppress(InputError):  # the run will say so itself, or has
            self.trial.history = read_history(self._folder.metrics, self._metric)
        if code is None:
            if self._asked_to_stop is not None and time.monotonic() - self._asked_to_stop > PATIENCE:
                self.kill()
            return False
        self.trial.seconds = round(time.monotonic() - self._started, 1)
        if self._asked_to_stop is not None:
            self.trial.state = "stopped"
        elif code not in (0, *ASKED_TO_END):
            self.trial.state = "failed"
        elif code == 0:
            self.trial.state = self._verdict()
        return True

    def stop(self) -> None:
        """Ask the process, once, to save its checkpoint and end."""
        if self._asked_to_stop is None and self._process.exitcode is None:
            self._asked_to_stop = time.monotonic()
            self._process.terminate()

    def kill(self) -> None:
        """End the process and whatever it started, at once."""
        if self._process.exitcode is None and self._process.pid is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:  # it has no session of its own yet
                self._process.kill()
            self._process.join()

    def end(self) -> None:
        """Ask the process to end and wait until it has, with force after the usual patience."""
        self.stop()
        self._process.join(PATIENCE)
        self.kill()

    def _verdict(self) -> State:
        """What became of a run that ended well: not finished if rounds are missing that none of its settings took."""
        try:
            settings = flat_settings(load_plain(self._folder.config))
            by_itself = any(settings.get(name) not in (None, "[]") for name in MAY_END_EARLY)
            whole = by_itself or done_rounds(self._folder) >= planned_rounds(self._folder)
        except (InputError, OSError) as error:
            with self._log.open("a", encoding="utf-8") as log:
                log.write(f"{error}\n")
            return "failed"
        return "finished" if whole else "running"


def wait_for_survivor(folder: SweepFolder, trial: Trial) -> None:
    """Wait until no process of an earlier, killed sweep works on this trial any more."""
    with alone(folder.file(trial.number, "lock")):
        pass


def has_survivor(folder: SweepFolder, trial: Trial) -> bool:
    """Whether a process of an earlier, killed sweep still works on this trial."""
    lock = folder.file(trial.number, "lock")
    if not lock.exists():
        return False
    try:
        with alone(lock, wait=False):
            return False
    except BlockingIOError:
        return True


def read_history(path: Path, metric: str) -> list[float]:
    """Return the finite values of one column of a ``metrics.csv`` that may be being written, in order of rounds.

    Args:
        path: The file; a missing one has no values.
        metric: Name of the column.

    Raises:
        InputError: If the file is damaged.
    """
    return [value for value in read_rounds(path).column(metric) if math.isfinite(value)]


def last_words(folder: SweepFolder, trial: Trial) -> str:
    """Return the last line that a trial printed."""
    return last_line(folder.file(trial.number, "log"))


def last_line(log: Path) -> str:
    """Return the last line of a log that is not blank."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"


def _arguments(sweep: SweepFile, folder: SweepFolder, trial: Trial) -> list[str]:
    """Arguments of ``python -m fedrec``."""
    run = RunFolder(folder.run_folder(trial))
    if run.last.exists():
        return ["fit", "--resume", str(run.path), *sweep.trusted]
    if run.path.exists():
        shutil.rmtree(run.path)
    options = folder.file(trial.number, "json")
    root = f"--trainer.default_root_dir={folder.path}"
    return ["fit", *sweep.fit_arguments, "--config", str(options), root]


def _environment(sweep: SweepFile, folder: SweepFolder, trial: Trial, threads: int) -> dict[str, str]:
    # A W&B service of the caller's would hold the id of a killed trial, which then could not go on.
    environment = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"} | {
        "WANDB_MODE": "offline",
        "WANDB_RUN_ID": trial.run,
        "WANDB_RUN_GROUP": f"{sweep.content.get('name', sweep.path.stem)}-{folder.id}",
    }
    for key in ("project", "entity"):
        if key in sweep.content:
            environment[f"WANDB_{key.upper()}"] = str(sweep.content[key])
    if "OMP_NUM_THREADS" not in environment:  # if it is, that many are the user's wish for every process
        environment |= {"OMP_NUM_THREADS": str(threads), "FEDREC_CORES": str(threads)}
    return environment
