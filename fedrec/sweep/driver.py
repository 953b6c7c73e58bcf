"""A sweep as work: which trial comes next, which is stopped early, what is recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fedrec.errors import InputError
from fedrec.jobs import warm
from fedrec.jobs.driver import FEDREC, TOO_MANY_FAILURES, Work, drive
from fedrec.jobs.process import JobProcess, last_line
from fedrec.runs.folder import RunFolder
from fedrec.runs.round_table import read_rounds
from fedrec.sweep.file import SweepFile
from fedrec.sweep.hyperband import to_stop
from fedrec.sweep.ledger import SweepFolder, Trial
from fedrec.sweep.search import propose
from fedrec.sweep.trials import TrialJob, read_history


class Driver(Work[TrialJob]):
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
        self._program = program
        self._say = say
        self._show = show
        self._left_over = [trial for trial in self.trials if trial.state == "running"]
        self._failures = 0
        for trial in self.trials:
            self._recall(trial)

    @property
    def best(self) -> Trial | None:
        """The trial with the best objective so far, or none; one that failed is none of them, whatever it logged."""
        best: Trial | None = None
        for trial in self.trials:
            if trial.best is None or trial.state == "failed":
                continue
            if self.sweep.better(trial.best, best.best if best else None):
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
        drive(self, self._parallel, self._program)

    def _recall(self, trial: Trial) -> None:
        """Read what a trial logged; of one that has ended, its line in the ledger says what matters most."""
        try:
            trial.history = read_history(RunFolder(self.folder.run_folder(trial)).metrics, self.sweep.metric)
        except InputError as error:
            self._say(f"Trial {trial.number}: {error}; compared with others by its best alone")

    def say(self, text: str) -> None:
        """See base class."""
        self._say(text)

    def next(self) -> TrialJob | None:
        """See base class."""
        if self._left_over:
            return TrialJob(self.sweep, self.folder, self._left_over.pop(0))
        proposal = propose(self.sweep, self.trials)
        if proposal is None:
            return None
        self.trials.append(self.folder.plan(*proposal))
        return TrialJob(self.sweep, self.folder, self.trials[-1])

    def look(self, running: Sequence[JobProcess[TrialJob]]) -> None:
        """See base class: read objectives, and stop whom hyperband stops."""
        for process in running:
            process.job.look()
        losers = to_stop(self.sweep, self.trials) if running else []
        for process in running:
            if process.job.trial.number in losers:
                process.stop()
        self._show(self.ended, len(running), self.best)

    def conclude(self, process: JobProcess[TrialJob]) -> None:
        """See base class."""
        trial = process.job.trial
        process.job.conclude(process)
        if trial.state == "running":
            self._left_over.append(trial)
            self._say(f"Trial {trial.number} ended before its last round and goes on.")
            self._check_failures(trial)
        else:
            self.folder.record(trial)
            self._tell(trial)

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
        log = self.folder.file(trial.number, "log")
        words = last_line(log)
        self._say(f"  {words} (all of it: {log})")
        if self._failures >= TOO_MANY_FAILURES:
            raise InputError(
                f"{self.sweep.path}: {self._failures} trials in a row failed, the last with {words!r} (see {log}); "
                f"to try failed trials again, delete their lines from {self.folder.path / 'ledger.jsonl'} and --resume"
            )
