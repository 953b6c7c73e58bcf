"""The sweep's loop, on trials that take a fraction of a second (see ``fake_fit``)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from fedrec.__main__ import main
from fedrec.errors import InputError
from fedrec.files import alone
from fedrec.jobs.warm import Program
from fedrec.sweep.driver import Driver
from fedrec.sweep.file import COMMAND_HEAD, COMMAND_TAIL
from fedrec.sweep.ledger import SweepFolder
from fedrec.sweep.reading import read_sweep_file
from tests.sweep import fake_fit

GRID = {
    "method": "grid",
    "metric": {"name": "val/ndcg_10_best", "goal": "maximize"},
    "parameters": {"x": {"values": [0.1, 0.2, 0.3]}, "seed_everything": {"values": [0, 1]}},
    "command": [*COMMAND_HEAD, *COMMAND_TAIL],
}
STAND_IN = Program("tests.sweep.fake_fit", ("tests.sweep.fake_fit",))
# Runs a driver in a process of its own that can be killed; argv: repository, sweep file, trials at a time.
DRIVER = """
import sys
sys.path.insert(0, sys.argv[1])
from tests.sweep.test_driver import drive
from pathlib import Path
if __name__ == "__main__":
    drive(Path(sys.argv[2]), int(sys.argv[3]))
"""


DRIVERS: list[subprocess.Popen[bytes]] = []


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory; looks at trials come often; no driver outlives a test that failed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fedrec.jobs.driver.POLL", 0.02)
    yield tmp_path
    while DRIVERS:
        driver = DRIVERS.pop()
        if driver.poll() is None:
            for process in psutil.Process(driver.pid).children(recursive=True):
                process.kill()
            driver.kill()
            driver.wait()


def write(desk: Path, **changes: Any) -> Path:
    path = desk / "sweep.yaml"
    path.write_text(yaml.safe_dump(GRID | changes))
    return path


def drive(path: Path, parallel: int = 2, said: list[str] | None = None) -> Driver:
    sweep = read_sweep_file(path)
    out = path.parent / "out"
    out.mkdir(exist_ok=True)
    with alone(out):
        say = said.append if said is not None else lambda _: None
        driver = Driver(sweep, SweepFolder(out, sweep), parallel, say, lambda *_: None, STAND_IN)
        driver.run()
    return driver


def ledger(desk: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (desk / "out" / "ledger.jsonl").read_text().splitlines()]


def test_grid_runs_every_cell_once(desk: Path) -> None:
    driver = drive(write(desk))
    cells = {(entry["parameters"]["x"], entry["parameters"]["seed_everything"]) for entry in ledger(desk)}
    assert cells == {(x, seed) for x in (0.1, 0.2, 0.3) for seed in (0, 1)}
    assert len(ledger(desk)) == 6
    assert driver.best is not None
    # The last of 20 rounds: 0.3 * (1 + 19 / 100).
    assert driver.best.best == pytest.approx(0.357)
    assert driver.nothing_left
    assert {path.name for path in (desk / "out" / "runs").glob("*-*")} == {entry["run"] for entry in ledger(desk)}


def test_second_call_starts_nothing(desk: Path) -> None:
    path = write(desk)
    drive(path)
    before = ledger(desk)
    assert drive(path).nothing_left
    assert ledger(desk) == before


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_run_cap_ends_a_search(desk: Path, method: str) -> None:
    space = {"x": {"min": 0.1, "max": 0.9}, "seed_everything": {"values": [0, 1, 2]}}
    drive(write(desk, method=method, run_cap=4, parameters=space))
    entries = ledger(desk)
    assert sorted(entry["number"] for entry in entries) == [0, 1, 2, 3]
    assert all(0.1 <= entry["parameters"]["x"] <= 0.9 for entry in entries)
    assert len({entry["parameters"]["x"] for entry in entries}) == 4


def test_raised_run_cap_adds_trials(desk: Path) -> None:
    drive(write(desk, run_cap=2))
    drive(write(desk, run_cap=3))
    assert sorted(entry["number"] for entry in ledger(desk)) == [0, 1, 2]


def test_target_ends_the_search(desk: Path) -> None:
    metric = {"name": "val/ndcg_10_best", "goal": "maximize", "target": 0.2}
    drive(write(desk, metric=metric), parallel=1)
    # Trials in the engine's order: seed 0 with x = 0.1 (ends at 0.119), then seed 0 with x = 0.2 (ends at 0.238).
    assert [entry["parameters"]["x"] for entry in ledger(desk)] == [0.1, 0.2]


def test_hyperband_stops_the_worse_trial(desk: Path) -> None:
    early = {"type": "hyperband", "min_iter": 3, "eta": 2}
    # With eta 2 a trial must be in the better half at its band: of two, the engine lets both pass; of three, 0.1 goes.
    drive(write(desk, early_terminate=early, parameters={"x": {"values": [0.5, 0.4, 0.1]}}), parallel=1)
    good, _, bad = ledger(desk)
    assert [entry["state"] for entry in ledger(desk)] == ["finished", "finished", "stopped"]
    rounds = Counter(line.split()[0] for line in (desk / "out" / "runs" / "rounds.log").read_text().splitlines())
    assert rounds[good["run"]] == fake_fit.ROUNDS
    assert rounds[bad["run"]] < fake_fit.ROUNDS
    # Its best counts, if an early one.
    assert 0.1 < bad["best"] < 0.119


def test_deaf_trial_is_killed_after_the_patience(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedrec.jobs.process.PATIENCE", 0.1)
    early = {"type": "hyperband", "min_iter": 3, "eta": 2}
    space = {"x": {"values": [0.5, 0.4, 0.1]}, "deaf": {"value": True}}
    drive(write(desk, early_terminate=early, parameters=space), parallel=1)
    assert [entry["state"] for entry in ledger(desk)] == ["finished", "finished", "stopped"]


def test_failed_trial_is_recorded_with_its_last_words(desk: Path) -> None:
    said: list[str] = []
    drive(write(desk, parameters={"x": {"values": [-1.0, 0.2]}}), parallel=1, said=said)
    assert [entry["state"] for entry in ledger(desk)] == ["failed", "finished"]
    assert any("x must not be negative" in line for line in said)


def test_three_failures_in_a_row_end_the_sweep(desk: Path) -> None:
    path = write(desk, parameters={"x": {"values": [-1.0, -2.0, -3.0, 0.2]}})
    with pytest.raises(InputError, match=r"3 trials in a row failed.*x must not be negative"):
        drive(path, parallel=1)
    assert len(ledger(desk)) == 3


def test_objective_never_logged(desk: Path) -> None:
    path = write(desk, metric={"name": "val/hr_10_best", "goal": "maximize"})
    with pytest.raises(
        InputError, match=r"trial 0 .*without logging val/hr_10_best; it logged round, val/ndcg_10_best, "
    ):
        drive(path, parallel=1)


def start_driver(path: Path, parallel: int) -> subprocess.Popen[bytes]:
    repository = Path(__file__).parents[2]
    program = path.parent / "driver.py"
    program.write_text(DRIVER)
    command = [sys.executable, str(program), str(repository), str(path), str(parallel)]
    DRIVERS.append(subprocess.Popen(command, cwd=path.parent))
    return DRIVERS[-1]


def wait_for(path: Path, lines: int) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() or len(path.read_text().splitlines()) < lines:
        assert time.monotonic() < deadline, f"{path} never had {lines} lines"
        time.sleep(0.01)


def trial_processes(driver: int) -> list[psutil.Process]:
    """The trials at work: below the driver's fork server, each leads a session of its own."""
    below = psutil.Process(driver).children(recursive=True)
    return [process for process in below if os.getsid(process.pid) == process.pid]


@pytest.mark.parametrize(("parallel", "rounds"), [(1, 3), (2, 50), (3, 75)])
def test_killed_sweep_goes_on_and_repeats_nothing(desk: Path, parallel: int, rounds: int) -> None:
    path = write(desk)
    driver = start_driver(path, parallel)
    wait_for(desk / "out" / "runs" / "rounds.log", rounds)
    driver.kill()
    driver.wait()
    drive(path, parallel)
    assert sorted(entry["number"] for entry in ledger(desk)) == [0, 1, 2, 3, 4, 5]
    done = Counter((desk / "out" / "runs" / "rounds.log").read_text().splitlines())
    runs = {entry["run"] for entry in ledger(desk)}
    # The trials' processes outlive a killed driver, so every round of every trial was computed exactly once.
    assert done == Counter(f"{run} {number}" for run in runs for number in range(fake_fit.ROUNDS))


def test_killed_trial_goes_on_from_its_checkpoint(desk: Path) -> None:
    path = write(desk, parameters={"x": {"values": [0.1]}})
    log = desk / "out" / "runs" / "rounds.log"
    driver = start_driver(path, 1)
    wait_for(log, 3)
    (trial,) = trial_processes(driver.pid)
    driver.kill()
    driver.wait()
    trial.kill()
    drive(path, 1)
    (entry,) = ledger(desk)
    assert entry["best"] == pytest.approx(0.119)
    # At most the round that was under way was computed again.
    assert len(log.read_text().splitlines()) <= fake_fit.ROUNDS + 1


def test_interrupt_ends_the_trials_and_keeps_their_place(desk: Path) -> None:
    path = write(desk)
    log = desk / "out" / "runs" / "rounds.log"
    driver = start_driver(path, 2)
    wait_for(log, 5)
    driver.send_signal(signal.SIGINT)
    driver.wait(20)
    before = log.read_text()
    time.sleep(0.2)
    assert log.read_text() == before, "a trial outlived the interrupted sweep"
    drive(path, 2)
    assert sorted(entry["number"] for entry in ledger(desk)) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_trial_ended_from_outside_is_not_finished_and_goes_on(desk: Path, sign: signal.Signals) -> None:
    path = write(desk, parameters={"x": {"values": [0.1]}})
    log = desk / "out" / "runs" / "rounds.log"
    driver = start_driver(path, 1)
    wait_for(log, 3)
    (trial,) = trial_processes(driver.pid)
    trial.send_signal(sign)
    assert driver.wait(60) == 0
    (entry,) = ledger(desk)
    assert (entry["state"], entry["best"]) == ("finished", pytest.approx(0.119))
    assert len((desk / "out" / "runs" / entry["run"] / "metrics.csv").read_text().splitlines()) == fake_fit.ROUNDS + 1


def test_trial_that_always_ends_before_its_last_round_is_never_finished(desk: Path) -> None:
    said: list[str] = []
    path = write(desk, parameters={"x": {"values": [0.1]}, "rounds": {"value": 5}})
    with pytest.raises(InputError, match="3 trials in a row"):
        drive(path, said=said)
    assert not (desk / "out" / "ledger.jsonl").exists()
    assert "Trial 0 ended before its last round and goes on." in said


def test_trial_that_stops_itself_early_is_finished(desk: Path) -> None:
    space = {"x": {"values": [0.1]}, "rounds": {"value": 5}, "callbacks": {"value": ["EarlyStopping"]}}
    drive(write(desk, parameters=space))
    assert [entry["state"] for entry in ledger(desk)] == ["finished"]


def test_trial_whose_line_was_deleted_is_tried_again(desk: Path) -> None:
    path = write(desk, parameters={"x": {"values": [-1.0, 0.2, 0.3]}})
    drive(path, parallel=1)
    failed, *others = ledger(desk)
    (desk / "out" / "ledger.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in others))
    drive(path, parallel=1)
    assert ledger(desk)[:-1] == others
    assert {**ledger(desk)[-1], "seconds": 0} == {**failed, "seconds": 0}


@pytest.mark.parametrize("name", ["metrics.csv", "config.yaml"])
def test_trial_that_leaves_a_damaged_folder_has_failed(name: str, desk: Path) -> None:
    said: list[str] = []
    drive(write(desk, parameters={"x": {"values": [0.1]}, "damage": {"value": name}}), said=said)
    assert [entry["state"] for entry in ledger(desk)] == ["failed"]
    assert any(name in line for line in said[1:])


def test_trial_that_failed_is_not_the_best_whatever_it_logged(desk: Path) -> None:
    """Of equals the first would win, which fails after its last round."""
    driver = drive(
        write(desk, parameters={"x": {"values": [0.1]}, "damage": {"values": ["config.yaml", ""]}}), parallel=1
    )
    assert [(entry["state"], entry["best"]) for entry in ledger(desk)] == [("failed", 0.119), ("finished", 0.119)]
    assert driver.best is driver.trials[1]


def test_damaged_table_of_an_ended_trial_is_named_and_does_not_stop_the_others(desk: Path) -> None:
    drive(write(desk, run_cap=2))
    (run, *_) = (entry["run"] for entry in ledger(desk))
    (desk / "out" / "runs" / run / "metrics.csv").write_text("x\n1\n")
    said: list[str] = []
    drive(write(desk, run_cap=3), said=said)
    assert len(ledger(desk)) == 3
    assert "metrics.csv, line 1" in said[0]


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_command_ends_with_the_status_of_the_signal_and_goes_on(
    desk: Path, sign: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("fedrec.commands.sweep.Driver", partial(Driver, program=STAND_IN))
    monkeypatch.setattr("fedrec.sweep.check.check_against_parser", lambda _: None)
    words = ["sweep", str(write(desk)), "--out", "out", "--parallel", "2"]

    def send() -> None:
        wait_for(desk / "out" / "runs" / "rounds.log", 3)
        os.kill(os.getpid(), sign)

    thread = threading.Thread(target=send)
    thread.start()
    assert main(words) == 128 + sign
    thread.join()
    said = capsys.readouterr().out
    assert said.startswith(f"Trying every key and value of {words[1]} on the options of fedrec fit")
    assert "go on with --resume --out out" in said
    assert main(words) == 2
    assert "of 6 trials done; go on with --resume" in capsys.readouterr().err
    assert main([*words, "--resume"]) == 0
    assert sorted(entry["number"] for entry in ledger(desk)) == [0, 1, 2, 3, 4, 5]
    assert {entry["state"] for entry in ledger(desk)} == {"finished"}
    assert main(words) == 0
    assert "Nothing is left to do." in capsys.readouterr().out


def test_two_sweeps_in_one_folder_are_refused(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(desk)
    make = SweepFolder(desk / "out", read_sweep_file(desk / "sweep.yaml"))
    with alone(make.path):
        assert main(["sweep", "sweep.yaml", "--out", "out", "--resume"]) == 2
    assert "another fedrec is at work in this folder" in capsys.readouterr().err
