"""Ctrl-C and SIGTERM: any command ends with the status that shells expect, and without a traceback."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from fedrec import __main__ as entry
from fedrec.federation import FederatedRecommender
from fedrec.stopping import Noted, Terminated, exit_status, handling, stop
from tests import small_runs

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.fixture(autouse=True)
def _a_signal_that_nobody_takes_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def fail(number: int, frame: object) -> None:
        pytest.fail(f"nobody took {signal.Signals(number).name}")

    monkeypatch.setattr(sys, "argv", ["fedrec"])
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with handling(fail):
        yield


def ask(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", STATUS)
def test_any_command_ends_with_the_signals_status(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ModuleType("command")
    command.main = lambda arguments: ask(number)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "command", command)
    monkeypatch.setitem(entry.COMMANDS, "data", ("command", "wait"))
    before = {one: signal.getsignal(one) for one in STATUS}
    assert entry.main(["data"]) == STATUS[number]  # type: ignore[index]
    assert capsys.readouterr().err == "fedrec: stopped\n"
    assert {one: signal.getsignal(one) for one in STATUS} == before


@pytest.mark.parametrize("number", STATUS)
@pytest.mark.parametrize(
    ("job", "step"), [("test", "test_step"), ("validate", "validation_step"), ("predict", "scorer")]
)
def test_a_measurement_ends_at_once_and_writes_nothing(
    number: int,
    job: str,
    step: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = small_runs.fit(tmp_path, 1)
    before = small_runs.everything(tmp_path)
    capsys.readouterr()
    monkeypatch.setattr(FederatedRecommender, step, lambda *_, **__: ask(number))
    monkeypatch.chdir(tmp_path)
    assert entry.main([job, f"--resume={folder}"]) == STATUS[number]  # type: ignore[index]
    assert capsys.readouterr().err == "fedrec: stopped\n"
    assert small_runs.everything(tmp_path) == before


@pytest.mark.parametrize("number", STATUS)
def test_a_fit_that_is_stopped_before_it_begins_leaves_nothing(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(FederatedRecommender, "configure_model", lambda *_: ask(number))
    assert entry.main(small_runs.options(tmp_path, 1)) == STATUS[number]  # type: ignore[index]
    assert capsys.readouterr().err == "fedrec: stopped\n"
    assert not small_runs.everything(tmp_path)


@pytest.mark.parametrize("number", STATUS)
def test_noted_once_obeyed_twice(number: int) -> None:
    noted = Noted()
    with handling(noted):
        ask(number)
        assert noted.number == number
        with pytest.raises(KeyboardInterrupt) as caught:
            ask(number)
    assert exit_status(caught.value) == STATUS[number]  # type: ignore[index]
    assert isinstance(caught.value, Terminated) == (number == signal.SIGTERM)


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with handling(stop):
            ask(signal.SIGINT)
            with pytest.raises(Terminated):
                ask(signal.SIGTERM)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_changes_nothing() -> None:
    before, found = signal.getsignal(signal.SIGTERM), []

    def run() -> None:
        with handling(stop):
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [before]
