"""A job is nobody else's while it is worked on, by a process that outlived its driver included."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fedrec.files import alone
from fedrec.jobs.driver import FEDREC
from fedrec.jobs.process import Job, JobProcess


class Nothing(Job):
    """A job of which nothing is left to do, as one sees when one looks."""

    looked = 0

    def commands(self) -> Iterator[list[str]]:
        self.looked += 1
        yield from ()

    def environment(self) -> dict[str, str]:
        return {}


def test_a_job_at_which_another_process_works_is_waited_for_and_not_looked_at(tmp_path: Path) -> None:
    job = Nothing("run", tmp_path / "log", tmp_path / "logs" / "lock")
    said: list[str] = []
    process = JobProcess(job, 1, FEDREC, said.append)
    job.lock.parent.mkdir()
    job.lock.touch()
    with alone(job.lock):
        assert not process.over()
        assert not process.over()
        assert job.looked == 0
    assert said == ["run still runs since its driver was killed; waiting for it."]
    assert process.over()
    assert (job.looked, process.status, process.worked) == (1, None, False)


def test_a_job_that_waits_and_is_stopped_is_over(tmp_path: Path) -> None:
    job = Nothing("run", tmp_path / "log", tmp_path / "lock")
    job.lock.touch()
    process = JobProcess(job, 1, FEDREC, lambda _: None)
    with alone(job.lock):
        assert not process.over()
        process.end()
        assert process.over()
    assert job.looked == 0
