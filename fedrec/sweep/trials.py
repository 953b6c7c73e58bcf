"""A trial as a job: ``fedrec fit`` with its own options, log, lock and run folder."""

from __future__ import annotations

import math
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from fedrec.errors import InputError
from fedrec.jobs.process import Job, JobProcess
from fedrec.runs.folder import RunFolder
from fedrec.runs.plain import load_plain
from fedrec.runs.progress import done_rounds, planned_rounds
from fedrec.runs.round_table import read_rounds
from fedrec.runs.settings import flat_settings
from fedrec.sweep.file import SweepFile
from fedrec.sweep.ledger import State, SweepFolder, Trial

# Exit statuses of a process that was asked to end: by itself, as shells expect it, or before it could take the signal.
ASKED_TO_END = (128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGINT, -signal.SIGTERM)
# Settings by which a run may end, with status 0, before its last round.
MAY_END_EARLY = ("trainer.callbacks", "trainer.max_time")


class TrialJob(Job):
    """One trial.

    A trial that was under way when the sweep ended goes on from its last checkpoint in the same run folder; without a
    checkpoint it starts again in an empty one.

    Args:
        sweep: The sweep's file.
        folder: The sweep's folder.
        trial: The trial to run.

    Attributes:
        trial: The trial.
    """

    def __init__(self, sweep: SweepFile, folder: SweepFolder, trial: Trial) -> None:
        super().__init__(trial.run, folder.file(trial.number, "log"), folder.file(trial.number, "lock"))
        self.trial = trial
        self._sweep = sweep
        self._options = folder.file(trial.number, "json")
        self._root = folder
        self._folder = RunFolder(folder.run_folder(trial))

    def commands(self) -> Iterator[list[str]]:
        """See base class."""
        if self._folder.last.exists():
            yield ["fit", "--resume", str(self._folder.path), *self._sweep.trusted]
            return
        if self._folder.path.exists():
            shutil.rmtree(self._folder.path)
        root = f"--trainer.default_root_dir={self._root.path}"
        yield ["fit", *self._sweep.fit_arguments, "--config", str(self._options), root]

    def environment(self) -> dict[str, str]:
        """See base class."""
        content = self._sweep.content
        group = {"WANDB_RUN_GROUP": f"{self._sweep.name}-{self._root.id}"}
        return group | {f"WANDB_{key.upper()}": str(content[key]) for key in ("project", "entity") if key in content}

    def look(self) -> None:
        """Read the trial's metrics."""
        with suppress(InputError):  # the run will say so itself, or has
            self.trial.history = read_history(self._folder.metrics, self._sweep.metric)
        if self.trial.history:
            self.trial.best = max(self.trial.history) if self._sweep.maximise else min(self.trial.history)

    def conclude(self, process: JobProcess[TrialJob]) -> None:
        """Set the trial's state when its process has ended.

        A trial that was asked to end by somebody else stays ``running``: it has rounds to do.
        """
        self.look()
        self.trial.seconds = round(process.seconds, 1)
        if process.stopped:
            self.trial.state = "stopped"
        elif process.status not in (0, *ASKED_TO_END):
            self.trial.state = "failed"
        elif process.status == 0:
            self.trial.state = self._verdict()

    def _verdict(self) -> State:
        """What became of a run that ended well: not finished if rounds are missing that none of its settings took."""
        try:
            settings = flat_settings(load_plain(self._folder.config))
            by_itself = any(settings.get(name) not in (None, "[]") for name in MAY_END_EARLY)
            whole = by_itself or done_rounds(self._folder) >= planned_rounds(self._folder)
        except (InputError, OSError) as error:
            with self.log.open("a", encoding="utf-8") as log:
                log.write(f"{error}\n")
            return "failed"
        return "finished" if whole else "running"


def read_history(path: Path, metric: str) -> list[float]:
    """Return the finite values of one column of a ``metrics.csv`` that may be being written, in order of rounds.

    Args:
        path: The file; a missing one has no values.
        metric: Name of the column.

    Raises:
        InputError: If the file is damaged.
    """
    return [value for value in read_rounds(path).column(metric) if math.isfinite(value)]
