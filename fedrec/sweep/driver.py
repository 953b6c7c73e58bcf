"""The loop of a sweep: propose, start, watch, stop early, record."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from fedrec.errors import InputError
from fedrec.runs.folder import RunFolder
from fedrec.runs.round_table import read_rounds
from fedrec.sweep import warm
from fedrec.sweep.file import SweepFile
from fedrec.sweep.hyperband import to_stop
from fedrec.sweep.ledger import SweepFolder, Trial
from fedrec.sweep.search import propose
from fedrec.sweep.trials import (
    TrialProcess,
    has_survivor,
    last_words,
    read_history,
    wait_for_survivor,
)

POLL = 0.5  # seconds between two looks at the running trials
TOO_MANY_FAILURES = 3  # failures with no success between them after which a sweep gives up, as W&B's agent does

FEDREC = warm.Program()


class Driver:
    """Runs the trials that a sweep still lacks, at most ``parallel`` at a time.

    Args:
        sweep: The checked sweep file.
        folder: The sweep's folder, which this process holds.
        parallel: Largest number of trials at a time.
        say: Called with a sentence when there is something to tell.
        show: Called at every look with the number of trials ended, the number at work and the best of them all.
        program: What a trial runs; tests put another in its place.
    """

    def __init__(
        self,
        sweep: SweepFile,
        folder: SweepFolder,
        parallel: int,
        say: Callable[[str], None],
        show: Callable[[int, int, Trial | None], None],
        program: warm.Program = FEDREC,
    ) -> None:
        self.sweep = sweep
        self.folder = folder
        self.trials = folder.trials()
        self._parallel = parallel
        self._threads = threads_of(parallel)
        self._program = program
        self._say = say
        self._show = show
        self._running: list[TrialProcess] = []
        self._left_over = [trial for trial in self.trials if trial.state == "running"]
        self._failures = 0
        for trial in self.trials:
            self._recall(trial)

    @property
    def best(self) -> Trial | None:
        """The trial with the best objective so far, or none."""
        best: Trial | None = None
        for trial in self.trials:
            if trial.best is not None and self.sweep.better(trial.best, best.best if best else None):
                best = trial
        return best

    @property
    def ended(self) -> int:
        """Number of trials that are done with."""
        return sum(trial.state != "running" for trial in self.trials)

    @property
    def nothing_left(self) -> bool:
        """Whether every trial of the sweep has ended."""
        return not self._left_over and propose(self.sweep, self.trials) is None

    def run(self) -> None:
        """Run until nothing is left.

        Raises:
            InputError: If trials keep failing, or one ends without ever logging the objective.
            KeyboardInterrupt: On Ctrl-C, after the running trials have saved a checkpoint and ended.
        """
        warm.warm_up(self._program, self._threads)
        warm.wait_until_warm()
        try:
            while self._fill():
                time.sleep(POLL)
                self._look()
        except KeyboardInterrupt:
            self._say(f"Stopping: {len(self._running)} running trials save a checkpoint and end (Ctrl-C again: now).")
            raise
        finally:
            self._end_all()

    def _recall(self, trial: Trial) -> None:
        """Read what a trial logged; of one that has ended, its line in the ledger says what matters most."""
        try:
            trial.history = read_history(RunFolder(self.folder.run_folder(trial)).metrics, self.sweep.metric)
        except InputError as error:
            self._say(f"Trial {trial.number}: {error}; compared with others by its best alone")

    def _fill(self) -> bool:
        while len(self._running) < self._parallel:
            trial = self._next()
            if trial is None:
                break
            self._running.append(TrialProcess(self.sweep, self.folder, trial, self._threads, self._program))
        self._show(self.ended, len(self._running), self.best)
        return bool(self._running)

    def _next(self) -> Trial | None:
        if self._left_over:
            trial = self._left_over.pop(0)
            if has_survivor(self.folder, trial):
                self._say(f"Trial {trial.number} still runs since the sweep was killed; waiting for it.")
                wait_for_survivor(self.folder, trial)
            return trial
        proposal = propose(self.sweep, self.trials)
        if proposal is None:
            return None
        trial = self.folder.plan(*proposal)
        self.trials.append(trial)
        return trial

    def _look(self) -> None:
        for process in list(self._running):
            over = process.poll()
            trial = process.trial
            if trial.history:
                trial.best = max(trial.history) if self.sweep.maximise else min(trial.history)
            if over:
                self._running.remove(process)
                if trial.state == "running":
                    self._left_over.append(trial)
                    self._say(f"Trial {trial.number} ended before its last round and goes on.")
                    self._check_failures(trial)
                else:
                    self.folder.record(trial)
                    self._tell(trial)
        losers = to_stop(self.sweep, self.trials) if self._running else []
        for process in self._running:
            if process.trial.number in losers:
                process.stop()

    def _tell(self, trial: Trial) -> None:
        objective = "no objective" if trial.best is None else f"{self.sweep.metric} {trial.best:.4f}"
        setting = ", ".join(f"{key}={value}" for key, value in trial.parameters.items())
        self._say(f"Trial {trial.number} {trial.state} after {trial.seconds:.0f} s: {objective} ({setting})")
        if trial.state == "failed":
            self._check_failures(trial)
        elif trial.state == "finished" and trial.best is None:
            names = ", ".join(read_rounds(RunFolder(self.folder.run_folder(trial)).metrics).names) or "nothing"
            raise self.sweep.error(
                f"trial {trial.number} ended without logging {self.sweep.metric}; it logged {names}", "metric", "name"
            )
        else:
            self._failures = 0

    def _check_failures(self, trial: Trial) -> None:
        self._failures += 1
        log, words = self.folder.file(trial.number, "log"), last_words(self.folder, trial)
        self._say(f"  {words} (all of it: {log})")
        if self._failures >= TOO_MANY_FAILURES:
            raise InputError(
                f"{self.sweep.path}: {self._failures} trials in a row failed, the last with {words!r} (see {log}); "
                f"to try failed trials again, delete their lines from {self.folder.path / 'ledger.jsonl'} and --resume"
            )

    def _end_all(self) -> None:
        for process in self._running:
            process.stop()
        try:
            for process in self._running:
                process.end()
        except KeyboardInterrupt:
            for process in self._running:
                process.kill()
            raise


def threads_of(parallel: int) -> int:
    """Threads of each of so many trials at a time, which share the machine's cores."""
    return max(1, (os.cpu_count() or 1) // parallel)
