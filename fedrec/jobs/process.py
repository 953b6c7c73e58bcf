"""A job and its processes: commands one after another, each with the job's log and lock."""

from __future__ import annotations

import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Generic, TypeVar

from fedrec.files import alone
from fedrec.jobs import warm

PATIENCE = 30.0  # seconds between SIGTERM, on which a fit saves its checkpoint and ends, and SIGKILL


class Job(ABC):
    """Commands of ``fedrec`` on one run folder, which can be cut off at any moment and go on.

    Args:
        name: The run's id.
        log: What the commands print is added to this file.
        lock: A file that whoever works on the job holds, the job's process included.
    """

    def __init__(self, name: str, log: Path, lock: Path) -> None:
        self.name, self.log, self.lock = name, log, lock

    @abstractmethod
    def commands(self) -> Iterator[list[str]]:
        """What is left to do, as arguments of ``fedrec``; the next is asked for when the one before has ended well.

        Nobody else works on the job while this looks at the folder, or changes it.
        """

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """Environment variables of the commands, beside those of this process."""


J = TypeVar("J", bound=Job)


class JobProcess(Generic[J]):
    """A job at work, or waiting until a process that an earlier, killed driver left behind is done with it.

    Args:
        job: The job.
        threads: Threads that torch may use, unless ``OMP_NUM_THREADS`` says otherwise.
        program: What is run in the place of ``fedrec``.
        say: Called with a sentence when there is something to tell.

    Attributes:
        job: The job.
        status: Exit status of the last command that ended, None before.
        worked: Whether a command was started.
        stopped: Whether it was asked to end.
    """

    def __init__(self, job: J, threads: int, program: warm.Program, say: Callable[[str], None]) -> None:
        self.job = job
        self.status: int | None = None
        self.worked, self.stopped = False, False
        self._threads, self._program, self._say = threads, program, say
        self._commands = job.commands()
        self._process: BaseProcess | None = None
        self._began = self._asked_to_stop = time.monotonic()
        self._waits = False

    @property
    def seconds(self) -> float:
        """Since its first command began."""
        return time.monotonic() - self._began

    def over(self) -> bool:
        """Whether nothing is left to do, or it failed or was stopped; starts the next command where there is one."""
        if self._process is None:
            return self.stopped or not self._go_on()
        if self._process.exitcode is None:
            if self.stopped and time.monotonic() - self._asked_to_stop > PATIENCE:
                self.kill()
            return False
        self.status = self._process.exitcode
        return bool(self.status) or self.stopped or not self._go_on()

    def _go_on(self) -> bool:
        """Start the next command, or wait for who else works on the job; false if nothing is left."""
        self.job.lock.parent.mkdir(parents=True, exist_ok=True)
        self.job.lock.touch()
        try:
            with alone(self.job.lock, wait=False) as held:
                command = next(self._commands, None)
                if command is not None:
                    self._start(command, held)
                return command is not None
        except BlockingIOError:
            if not self._waits:
                self._say(f"{self.job.name} still runs since its driver was killed; waiting for it.")
            self._waits = True
            return True

    def _start(self, command: list[str], held: int) -> None:
        if not self.worked:
            self._began = time.monotonic()
        self.worked = True
        with self.job.log.open("ab") as log:
            self._process = warm.start(self._program, command, self._environment(), log.fileno(), held)

    def _environment(self) -> dict[str, str]:
        # A W&B service of the caller's would hold the id of a killed run, which then could not go on.
        given = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
        if "OMP_NUM_THREADS" not in given:  # if it is, that many are the user's wish for every process
            threads = str(self._threads)  # of a run, whatever number of processes it has
            given |= {"OMP_NUM_THREADS": threads, "FEDREC_CORES": threads}
        return given | {"WANDB_MODE": "offline", "WANDB_RUN_ID": self.job.name} | self.job.environment()

    def stop(self) -> None:
        """Ask the process, once, to save its checkpoint and end."""
        if not self.stopped:
            self.stopped, self._asked_to_stop = True, time.monotonic()
            if self._process is not None and self._process.exitcode is None:
                self._process.terminate()

    def kill(self) -> None:
        """End the process and whatever it started, at once."""
        if self._process is not None and self._process.exitcode is None and self._process.pid is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:  # it has no session of its own yet
                self._process.kill()
            self._process.join()

    def end(self) -> None:
        """Ask the process to end and wait until it has, with force after the usual patience."""
        self.stop()
        if self._process is not None:
            self._process.join(PATIENCE)
        self.kill()


def last_line(log: Path) -> str:
    """Return the last line of a log that is not blank."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"
