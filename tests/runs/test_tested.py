"""A run that has trained on is not shown with the figures of its test, wherever figures are shown."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from fedrec.__main__ import main
from fedrec.analysis import load_runs, users
from fedrec.commands.report import report
from fedrec.errors import InputError
from fedrec.evaluation.table import MEASURES, MODELS
from fedrec.jobs.runs import TestedRun
from fedrec.report.rows import result_rows
from fedrec.runs import tested
from fedrec.runs.folder import RunFolder
from fedrec.runs.tested import is_tested, outdated
from tests import small_runs
from tests.analysis.folders import config, write_run

RISING, SETTLED = [0.1, 0.2, 0.3, 0.4, 0.5], [0.1, 0.2, 0.3, 0.2, 0.3]  # rounds 1 to 5; the test was after the third


def written(root: Path, hr: Sequence[float], **about: Any) -> Path:
    """A run of five rounds, tested after three of them."""
    results = {measure.name(model): 0.4242 for measure in MEASURES for model in MODELS}
    ranks = {measure.ranks(model): [1, 9] for measure in MEASURES for model in MODELS}
    run = write_run(root, "a", config(rounds=5), hr, results, {"user": [0, 1], **ranks})
    found = json.loads((run / "test.json").read_text())
    (run / "test.json").write_text(json.dumps({**found, **about}))
    return run


def by_load_runs(run: Path) -> bool:
    frame = load_runs(run)
    return "test/hr_10" in frame and bool(frame["test/hr_10"].notna().all())


def by_load_ranks(run: Path) -> bool:
    try:
        return len(users.load_ranks(run)) == 2
    except InputError as error:
        return "tested before it trained on" not in str(error)


def by_rows(run: Path) -> bool:
    try:
        return len(result_rows(run, {})) == 1
    except InputError as error:
        return "no run was tested as it is now" not in str(error)


# Whatever shows the figures of a test, or does again what was not tested: whether it takes the run for tested.
READERS: dict[str, Callable[[Path], bool]] = {
    "load_runs": by_load_runs,
    "load_ranks": by_load_ranks,
    "tested_ranks": lambda run: list(users.tested_ranks([run])) == ["a"],
    "tested_results": lambda run: bool(tested.tested_results(RunFolder(run))),
    "compare": lambda run: main(["compare", str(run)]) == 0,
    "report": lambda run: "0.4242" in report(str(run)),
    "jobs": lambda run: TestedRun(run.parents[1], "a", []).done,
    "rows": by_rows,
}


@pytest.mark.parametrize("reader", READERS)
def test_a_test_of_before_a_better_round_is_no_test(
    tmp_path: Path, reader: str, capsys: pytest.CaptureFixture[str]
) -> None:
    old, good = written(tmp_path / "old", RISING), written(tmp_path / "good", SETTLED)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert READERS[reader](good)
        assert not [str(one.message) for one in warned if "before it trained on" in str(one.message)]
        assert not READERS[reader](old)
    said = [str(one.message) for one in warned] + capsys.readouterr().err.splitlines()
    wanted = f"{old}/test.json: of round 3, tested before it trained on; run fedrec test --resume {old}"
    told = sum(wanted in line for line in said)
    assert told == (reader not in ("load_ranks", "tested_results", "jobs"))


@pytest.mark.parametrize(
    ("hr", "about", "is_good"),
    [
        (RISING, {"checkpoint": "last.ckpt", "rounds": 3}, False),
        (SETTLED, {"checkpoint": "last.ckpt", "rounds": 3}, False),
        (SETTLED, {"checkpoint": "last.ckpt", "rounds": 5}, True),
        (RISING, {"checkpoint": "other.ckpt"}, True),  # nobody knows which one it was
        (RISING, {"checkpoint": None, "rounds": 0}, True),  # a reference
        (RISING, {"rounds": 3, "trained": 5}, True),  # killed between a round's row and its checkpoint, then tested
        (RISING, {"rounds": 3, "trained": 4}, False),
        (SETTLED, {"select": "full", "rounds": 3, "trained": 3}, True),  # no round says what it is chosen by
    ],
)
def test_what_outdates_a_test(tmp_path: Path, hr: list[float], about: dict[str, Any], is_good: bool) -> None:
    folder = RunFolder(written(tmp_path, hr, **about))
    assert (is_tested(folder), not outdated(folder)) == (is_good, is_good)


def test_tests_of_before_they_said_what_they_measured_stay(tmp_path: Path) -> None:
    run = written(tmp_path, RISING)
    found = json.loads((run / "test.json").read_text())
    for name in ("rounds", "checkpoint"):
        (run / "test.json").write_text(json.dumps({key: value for key, value in found.items() if key != name}))
        assert is_tested(RunFolder(run))
    (run / "test.json").unlink()
    assert not is_tested(RunFolder(run))
    assert not outdated(RunFolder(run))


def test_a_run_that_trains_on_is_tested_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fedrec"])
    monkeypatch.setenv("WANDB_MODE", "disabled")
    folder = small_runs.fit(tmp_path, 2)
    small_runs.call(["test", f"--resume={folder}"])
    assert is_tested(RunFolder(folder))
    found = json.loads((folder / "test.json").read_text())
    assert found["trained"] == 2
    small_runs.call(["fit", f"--resume={folder}", "--trainer.max_epochs=8"])
    assert outdated(RunFolder(folder)), "no better round: choose another federation for this test"
    capsys.readouterr()
    assert main(["compare", str(folder)]) == 2
    assert f"tested before it trained on; run fedrec test --resume {folder}" in capsys.readouterr().err
    small_runs.call(["test", f"--resume={folder}"])
    small_runs.call(["compare", str(folder)])
