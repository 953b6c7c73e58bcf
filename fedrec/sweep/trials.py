"""A trial as a process: ``python -m fedrec fit`` with its own options, log, lock and run folder."""

from __future__ import annotations

import csv
import fcntl
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from fedrec.sweep.file import COMMAND_HEAD, SweepFile
from fedrec.sweep.ledger import SweepFolder, Trial

PATIENCE = 30.0  # seconds between SIGTERM, on which a fit saves its checkpoint and ends, and SIGKILL


class TrialProcess:
    """One running trial.

    A trial that was under way when the sweep ended goes on from its last checkpoint in the same run folder; without a
    checkpoint it starts again in an empty one. The process is in a session of its own, so Ctrl-C reaches the sweep
    alone, and holds the trial's lock for as long as it lives.

    Args:
        sweep: The sweep's file.
        folder: The sweep's folder.
        trial: The trial to run.
        threads: Threads torch may use in the process.
    """

    def __init__(self, sweep: SweepFile, folder: SweepFolder, trial: Trial, threads: int) -> None:
        self.trial = trial
        self._metric = sweep.metric
        self._metrics_csv = folder.run_folder(trial) / "metrics.csv"
        self._asked_to_stop: float | None = None
        self._started = time.monotonic()
        with (
            folder.file(trial.number, "lock").open("w") as lock,
            folder.file(trial.number, "log").open("ab") as log,
        ):
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._process = subprocess.Popen(
                _command(sweep, folder, trial),
                env=_environment(sweep, folder, trial, threads),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[lock.fileno()],
            )

    def poll(self) -> bool:
        """Read the trial's metrics and return whether its process has ended; its state is then set."""
        code = self._process.poll()
        self.trial.history = read_history(self._metrics_csv, self._metric)
        if code is None:
            if self._asked_to_stop is not None and time.monotonic() - self._asked_to_stop > PATIENCE:
                self.kill()
            return False
        self.trial.seconds = round(time.monotonic() - self._started, 1)
        if self._asked_to_stop is not None:
            self.trial.state = "stopped"
        else:
            self.trial.state = "finished" if code == 0 else "failed"
        return True

    def stop(self) -> None:
        """Ask the process, once, to save its checkpoint and end."""
        if self._asked_to_stop is None and self._process.poll() is None:
            self._asked_to_stop = time.monotonic()
            self._process.terminate()

    def kill(self) -> None:
        """End the process and whatever it started, at once."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def end(self) -> None:
        """Ask the process to end and wait until it has, with force after the usual patience."""
        self.stop()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()


def wait_for_survivor(folder: SweepFolder, trial: Trial) -> None:
    """Wait until no process of an earlier, killed sweep works on this trial any more."""
    with folder.file(trial.number, "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


def has_survivor(folder: SweepFolder, trial: Trial) -> bool:
    """Whether a process of an earlier, killed sweep still works on this trial."""
    with folder.file(trial.number, "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def read_history(path: Path, metric: str) -> list[float]:
    """Return the finite values of one column of a ``metrics.csv`` that may be being written, in order of rounds.

    Args:
        path: The file; a missing one has no values.
        metric: Name of the column.
    """
    values = []
    for row in _rows(path):
        try:
            value = float(row.get(metric) or "nan")
        except ValueError:  # the line being written at this moment
            continue
        if math.isfinite(value):
            values.append(value)
    return values


def logged_names(path: Path) -> list[str]:
    """Return the columns of a ``metrics.csv``; a missing file has none."""
    rows = _rows(path)
    return sorted(key for key in rows[0] if key) if rows else []


def last_words(folder: SweepFolder, trial: Trial) -> str:
    """Return the last line that a trial printed."""
    text = folder.file(trial.number, "log").read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            # A last line without its end is still being written: a number cut short would be another number.
            return list(csv.DictReader(line for line in file if line.endswith("\n")))
    except FileNotFoundError:
        return []


def _command(sweep: SweepFile, folder: SweepFolder, trial: Trial) -> list[str]:
    fit = [sys.executable, *COMMAND_HEAD[2:]]
    run = folder.run_folder(trial)
    if (run / "checkpoints" / "last.ckpt").exists():
        return [*fit, "--resume", str(run)]
    if run.exists():
        shutil.rmtree(run)
    options = folder.file(trial.number, "json")
    root = f"--trainer.default_root_dir={folder.path}"
    return [*fit, *sweep.fit_arguments, "--config", str(options), root]


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
    if "OMP_NUM_THREADS" not in os.environ:
        environment["OMP_NUM_THREADS"] = str(threads)
    return environment
