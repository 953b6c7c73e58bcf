"""The sweep's folder: what a kill can leave behind, and what only a hand can."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrec.errors import InputError
from fedrec.sweep.file import SweepFile
from fedrec.sweep.ledger import SweepFolder
from fedrec.sweep.space import Listed, Whole

SPACE = {"x": Listed((0.1, 0.2, 0.3)), "seed_everything": Whole(0, 9)}
CONTENT = {"method": "grid", "metric": {"name": "val/hr_10", "goal": "maximize"}, "parameters": {"x": "as SPACE"}}
SWEEP = SweepFile(Path("sweep.yaml"), CONTENT, {}, SPACE)
PARAMETERS = {"x": 0.1, "seed_everything": 3}


def folder_of_two(path: Path) -> SweepFolder:
    """A sweep with two ended trials and one under way."""
    folder = SweepFolder(path, SWEEP)
    for number in range(3):
        trial = folder.plan(number, PARAMETERS)
        trial.state, trial.best = "finished", 0.5
        if number < 2:
            folder.record(trial)
    return folder


def changed(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda entry: {**entry, **changes}


# What stands in a ledger's second line -> what the message must say.
DAMAGED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "null": (lambda entry: None, "expected a JSON object with number, run,"),
    "a list": (lambda entry: [entry], "expected a JSON object"),
    "a key less": (lambda entry: {key: entry[key] for key in entry if key != "run"}, "expected a JSON object"),
    "a key more": (changed(history=[]), "expected a JSON object"),
    "number as text": (changed(number="1"), "trial '1' of this sweep has no run"),
    "number true": (changed(number=True), "trial True of this sweep has no run"),
    "number below 0": (changed(number=-1), "trial -1 of this sweep has no run"),
    "another's run": (changed(run="../../home"), r"trial 1 of this sweep has no run '\.\./\.\./home'"),
    "unknown state": (changed(state="done"), "state is 'done'; expected finished, stopped, failed"),
    "state no text": (changed(state=["failed"]), "state is \\['failed'\\]; expected finished"),
    "running": (changed(state="running"), "state is 'running'"),
    "best as text": (changed(best="0.5"), "best is '0.5'.*expected numbers"),
    "best not finite": (changed(best=float("nan")), "best is nan.*expected numbers"),
    "seconds null": (changed(seconds=None), "seconds is None; expected numbers"),
    "twice": (changed(number=0, run=None), "trial 0 of this sweep has no run None"),
    "no parameters": (changed(parameters=None), "expected a value for each of x, seed_everything"),
    "other parameters": (changed(parameters={"x": 0.1, "y": 1}), "expected a value for each of x, seed_everything"),
    "a value not in the space": (changed(parameters={**PARAMETERS, "x": 0.15}), "x cannot be 0.15 in this sweep"),
    "a class": (changed(parameters={**PARAMETERS, "x": {"class_path": "os.system"}}), "x cannot be .*os.system"),
}


@pytest.mark.parametrize("fault", DAMAGED)
def test_damaged_line_of_the_ledger_is_named(fault: str, tmp_path: Path) -> None:
    folder = folder_of_two(tmp_path)
    path = tmp_path / "ledger.jsonl"
    first, second = path.read_text().splitlines()
    change, message = DAMAGED[fault]
    path.write_text(f"{first}\n{json.dumps(change(json.loads(second)))}\n")
    with pytest.raises(InputError, match=rf"ledger\.jsonl, line 2: not a line that fedrec sweep wrote \(.*{message}"):
        folder.trials()


@pytest.mark.parametrize("line", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"NaN", b'{"number": 1}'], ids=repr)
def test_line_that_is_no_entry_is_named(line: bytes, tmp_path: Path) -> None:
    folder = folder_of_two(tmp_path)
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(line + b"\n" + path.read_bytes())
    with pytest.raises(InputError, match=r"ledger\.jsonl, line 1: not a line that fedrec sweep wrote") as error:
        folder.trials()
    assert "\n" not in str(error.value)


def test_second_line_of_a_trial_is_named(tmp_path: Path) -> None:
    folder = folder_of_two(tmp_path)
    folder.record(folder.trials()[0])
    with pytest.raises(InputError, match=r"line 3: .*\(a second line of trial 0\)"):
        folder.trials()


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_ledger_cut_anywhere_reads_as_the_lines_that_are_whole(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("sweep")
    folder_of_two(path)
    whole = (path / "ledger.jsonl").read_bytes()
    length = data.draw(st.integers(0, len(whole)))
    (path / "ledger.jsonl").write_bytes(whole[:length])
    again = SweepFolder(path, SWEEP)
    ended = whole[:length].count(b"\n")
    trials = again.trials()
    assert [trial.state for trial in trials] == ["finished"] * ended + ["running"] * (3 - ended)
    for trial in trials[ended:2]:
        trial.state, trial.best = "finished", 0.5
        again.record(trial)
    assert (path / "ledger.jsonl").read_bytes() == whole


def test_ledger_alone_tells_what_ended(tmp_path: Path) -> None:
    folder = folder_of_two(tmp_path)
    folder.file(0, "json").unlink()
    assert [(trial.number, trial.state) for trial in folder.trials()] == [
        (0, "finished"),
        (1, "finished"),
        (2, "running"),
    ]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"x": 0.1}', '{"x": 7, "seed_everything": 3}'])
def test_damaged_options_of_a_trial_are_named(text: str, tmp_path: Path) -> None:
    folder = folder_of_two(tmp_path)
    folder.file(2, "json").write_text(text)
    with pytest.raises(InputError, match=r"0002\.json: not options that fedrec sweep wrote .* delete it to plan"):
        folder.trials()


def test_other_files_among_the_trials_do_not_matter(tmp_path: Path) -> None:
    folder = folder_of_two(tmp_path)
    for name in ("notes.json", "1.json", ".0003.json.tmp", "0003.log", "-001.json"):
        (folder.trials_path / name).write_text("{")
    assert len(folder.trials()) == 3


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"null",
        b"[1]",
        b"{}",
        b'{"id": "01234567"}',
        b'{"id": "../../..", "sweep": {}}',
        b'{"id": "0123456", "sweep": {}}',
        b'{"id": 12345678, "sweep": {}}',
        b'{"id": "01234567", "sweep": []}',
    ],
    ids=repr,
)
def test_damaged_header_is_refused(content: bytes, tmp_path: Path) -> None:
    folder_of_two(tmp_path)
    (tmp_path / "sweep.json").write_bytes(content)
    with pytest.raises(InputError, match=r"sweep\.json: not what fedrec sweep wrote"):
        SweepFolder(tmp_path, SWEEP)


def test_ledger_without_its_header_is_refused(tmp_path: Path) -> None:
    folder_of_two(tmp_path)
    (tmp_path / "sweep.json").unlink()
    with pytest.raises(InputError, match=r"sweep\.json: missing beside a ledger"):
        SweepFolder(tmp_path, SWEEP)


def test_folder_of_another_question_is_refused(tmp_path: Path) -> None:
    folder_of_two(tmp_path)
    other = SweepFile(Path("sweep.yaml"), {**CONTENT, "method": "random", "run_cap": 3}, {}, SPACE)
    with pytest.raises(InputError, match=r"belongs to another version of sweep\.yaml: method differ"):
        SweepFolder(tmp_path, other)


def test_raised_run_cap_is_the_same_question(tmp_path: Path) -> None:
    folder = folder_of_two(tmp_path)
    more = SweepFile(Path("sweep.yaml"), {**CONTENT, "run_cap": 3, "description": "longer"}, {}, SPACE)
    assert SweepFolder(tmp_path, more).id == folder.id
