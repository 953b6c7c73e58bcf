"""Runs that are trained and tested, or measured as a reference, each once: the jobs of comparisons and claims."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from fedrec.errors import InputError
from fedrec.jobs import warm
from fedrec.jobs.driver import FEDREC, TOO_MANY_FAILURES, Work, drive
from fedrec.jobs.process import Job, JobProcess, last_line
from fedrec.runs.folder import RunFolder
from fedrec.runs.progress import done_rounds, planned_rounds
from fedrec.runs.tested import is_tested


class TestedRun(Job):
    """A run, trained and tested.

    Args:
        out: Folder of all runs; this one is ``out/runs/<name>``.
        name: The run's id.
        options: Options of ``fedrec fit``, each with its value in one word.
    """

    __test__ = False  # no class of tests, whatever pytest thinks

    def __init__(self, out: Path, name: str, options: Sequence[str]) -> None:
        super().__init__(name, out / "logs" / f"{name}.log", out / "logs" / f"{name}.lock")
        self.out, self.options = out, list(options)
        self.folder = RunFolder(out / "runs" / name)

    @property
    def command(self) -> list[str]:
        """Arguments of ``fedrec`` from which the run can be repeated, anywhere."""
        return ["fit", *self.options]

    @property
    def done(self) -> bool:
        """Whether the run was tested, and has not trained on since."""
        return is_tested(self.folder)

    def commands(self) -> Iterator[list[str]]:
        """See base class: training, or what is left of it, and the test; nothing for a run that was tested."""
        if self.done:
            return
        if not self.folder.config.exists():
            yield self._begin()
        elif done_rounds(self.folder) < planned_rounds(self.folder) or not self.folder.last.exists():
            yield ["fit", "--resume", str(self.folder.path)]
        yield ["test", "--resume", str(self.folder.path)]

    def _begin(self) -> list[str]:
        """The command in an empty run folder."""
        shutil.rmtree(self.folder.path, ignore_errors=True)
        return [*self.command, f"--trainer.default_root_dir={self.out}"]

    def environment(self) -> dict[str, str]:
        """See base class."""
        return {"WANDB_RUN_GROUP": self.out.name}


class ReferenceRun(TestedRun):
    """A reference, measured by one command.

    Args:
        out: Folder of all runs; this one is ``out/runs/<name>``.
        name: The run's id.
        reference: Name of the reference.
        options: Options of ``fedrec reference``, each with its value in one word.
    """

    def __init__(self, out: Path, name: str, reference: str, options: Sequence[str]) -> None:
        super().__init__(out, name, options)
        self.reference = reference

    @property
    def command(self) -> list[str]:
        """See base class."""
        return ["reference", self.reference, *self.options]

    def commands(self) -> Iterator[list[str]]:
        """See base class."""
        if not self.done:
            yield self._begin()


class _Runs(Work[TestedRun]):
    """A list of runs; those that fail do not stop the others."""

    def __init__(self, jobs: Sequence[TestedRun]) -> None:
        self.failed: list[TestedRun] = []
        self._waiting = [job for job in jobs if not job.done]
        self._succeeded = len(self._waiting) < len(jobs)

    def next(self) -> TestedRun | None:
        """See base class."""
        return self._waiting.pop(0) if self._waiting else None

    def conclude(self, process: JobProcess[TestedRun]) -> None:
        """See base class."""
        job = process.job
        if not process.status:
            self._succeeded = True
            self.say(f"{job.name}: done in {process.seconds:.0f} s, {len(self._waiting)} runs wait")
            return
        self.failed.append(job)
        words = last_line(job.log)
        self.say(f"{job.name} failed: {words} (all of it: {job.log})")
        if len(self.failed) == TOO_MANY_FAILURES and not self._succeeded:
            raise InputError(f"the first {len(self.failed)} runs failed, the last with: {words}")


def run_all(jobs: Sequence[TestedRun], parallel: int, program: warm.Program = FEDREC) -> list[TestedRun]:
    """Run what is left of all runs, so many at a time; one that fails does not stop the others.

    Args:
        jobs: All of them.
        parallel: How many at a time, each on its share of the cores.
        program: What is run; tests put another in its place.

    Returns:
        The jobs that failed.

    Raises:
        InputError: If the first ones fail, all of them.
        KeyboardInterrupt: On Ctrl-C, after the running jobs have saved a checkpoint and ended.
    """
    runs = _Runs(jobs)
    try:
        drive(runs, parallel, program)
    except KeyboardInterrupt as stopped:
        stopped.args = ("stopped; the same command goes on",)
        raise
    return runs.failed
