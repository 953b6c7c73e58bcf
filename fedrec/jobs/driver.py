"""The one loop that starts and watches processes; what is run, and what becomes of it, is the caller's."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic

from fedrec.jobs import warm
from fedrec.jobs.process import J, JobProcess

POLL = 0.2  # seconds between two looks at the running jobs
TOO_MANY_FAILURES = 3  # failures with no success between them after which there is no point in going on

FEDREC = warm.Program()


class Work(ABC, Generic[J]):
    """What is to be run, and what is done when a job has ended."""

    @abstractmethod
    def next(self) -> J | None:
        """The next job; None: there is none for now, and if nothing runs, there is nothing left."""

    @abstractmethod
    def conclude(self, process: JobProcess[J]) -> None:
        """Take in what became of a job.

        Raises:
            InputError: If there is no point in going on; the other jobs then save a checkpoint and end.
        """

    def look(self, running: Sequence[JobProcess[J]]) -> None:
        """Look at what runs, after every start and end and at least every :data:`POLL` seconds."""

    def say(self, text: str) -> None:
        """Tell the user a sentence."""
        print(text, flush=True)


def drive(work: Work[J], parallel: int, program: warm.Program = FEDREC) -> None:
    """Run all work, at most ``parallel`` jobs at a time, each on its share of the cores.

    Args:
        work: What is to be run.
        parallel: How many jobs at a time.
        program: What is run in the place of ``fedrec``.

    Raises:
        InputError: If ``work`` says that there is no point in going on.
        KeyboardInterrupt: On Ctrl-C, after the running jobs have saved a checkpoint and ended.
    """
    running: list[JobProcess[J]] = []
    try:
        while True:
            while len(running) < parallel and (job := work.next()) is not None:
                if not running:
                    warm.warm_up(program, threads_of(parallel))
                    warm.wait_until_warm()
                running.append(JobProcess(job, threads_of(parallel), program, work.say))
            over = [process for process in running if process.over()]
            for process in over:
                running.remove(process)
                work.conclude(process)
            work.look(running)
            if not over:
                if not running:
                    return
                time.sleep(POLL)
    except KeyboardInterrupt:
        work.say(f"Stopping: {len(running)} at work save a checkpoint and end (Ctrl-C again: now).")
        raise
    finally:
        _end_all(running)


def _end_all(running: Sequence[JobProcess[J]]) -> None:
    for process in running:
        process.stop()
    try:
        for process in running:
            process.end()
    except KeyboardInterrupt:
        for process in running:
            process.kill()
        raise


def threads_of(parallel: int) -> int:
    """Threads of each of so many jobs at a time, which share the machine's cores."""
    return max(1, (os.cpu_count() or 1) // parallel)
