"""Warm processes are as separate as cold ones: environment, session, log, end, and the lock that they hold."""

from __future__ import annotations

import json
import os
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from fedrec.files import alone
from fedrec.jobs.warm import Program, start, warm_up

TELL = Program("tests.jobs.tell", ())
ENVIRONMENT = {"PATH": "", "OMP_NUM_THREADS": "3", "LANG": "C.UTF-8"}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log file, with a lock file beside it."""
    warm_up(TELL, 1)
    (tmp_path / "lock").touch()
    return tmp_path / "log"


def launch(log: Path, *argv: str) -> BaseProcess:
    with alone(log.with_name("lock")) as lock, log.open("ab") as file:
        return start(TELL, argv, ENVIRONMENT, file.fileno(), lock)


def told(log: Path) -> dict[str, object]:
    deadline = time.monotonic() + 60
    while not log.read_text().endswith("\n"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    found = json.loads(log.read_text().splitlines()[0])
    assert isinstance(found, dict)
    return found


def test_process_has_what_it_was_given_and_nothing_else(log: Path) -> None:
    process = launch(log, "7", "--x=1")
    process.join()
    found = told(log)
    assert found["argv"] == ["7", "--x=1"]
    assert found["environment"] == ENVIRONMENT
    assert found["pid"] == found["session"] == process.pid
    assert found["session"] != os.getsid(0)
    assert (found["threads"], found["stdin"]) == (1, "")
    assert process.exitcode == 7
    assert log.read_text().splitlines()[1:] == ["tidied up"]


def test_crash_costs_one_process(log: Path) -> None:
    waiting = launch(log, "waits")
    told(log)
    (log.parent / "other").mkdir()
    (log.parent / "other" / "lock").touch()
    crashed = launch(log.parent / "other" / "log", "crashes")
    crashed.join()
    assert crashed.exitcode == -signal.SIGABRT
    assert waiting.exitcode is None
    waiting.kill()
    waiting.join()


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_lock_is_held_for_as_long_as_the_process_lives(log: Path, sign: signal.Signals) -> None:
    process = launch(log, "waits")
    told(log)
    lock = log.with_name("lock")
    with pytest.raises(BlockingIOError), alone(lock, wait=False):
        pass
    assert process.pid is not None
    os.kill(process.pid, sign)
    process.join()
    assert process.exitcode == (128 + sign if sign == signal.SIGINT else -sign)
    with alone(lock, wait=False):
        pass
