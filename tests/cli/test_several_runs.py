"""``test`` and ``validate`` measure several runs, one after the other."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fedrec.__main__ import main
from fedrec.cli.arguments import each_run
from tests import small_runs


@pytest.mark.parametrize(
    ("argv", "runs"),
    [
        (["test", "--resume", "a"], ["a"]),
        (["test", "--resume", "a", "b", "c"], ["a", "b", "c"]),
        (["validate", "--trainer.logger=false", "--resume", "a", "b"], ["a", "b"]),
        (["test", "--resume", "a", "b", "--data.root", "x"], ["a", "b"]),
    ],
)
def test_every_run_gets_the_other_options(argv: list[str], runs: list[str]) -> None:
    lines = each_run(argv)
    assert [line[line.index("--resume") + 1] for line in lines] == runs
    rest = [word for word in argv if word not in runs]
    assert all([word for word in line if word not in runs] == rest for line in lines)


@pytest.mark.parametrize(
    "argv",
    [["test"], ["test", "--resume"], ["test", "--resume=a"], ["fit", "--resume", "a", "b"], ["predict", "a", "b"]],
)
def test_other_command_lines_stay_as_they_are(argv: list[str]) -> None:
    assert each_run(argv) == [argv]


def test_a_run_that_cannot_be_measured_does_not_keep_the_others_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fedrec"])
    folders = [small_runs.fit(tmp_path, 2, f"--seed_everything={seed}") for seed in (0, 1)]
    broken = tmp_path / "runs" / "broken"
    broken.mkdir()
    capsys.readouterr()
    several = [str(folders[0]), str(broken), str(folders[1])]
    assert main(["test", "--resume", *several, "--trainer.logger=false"]) == 2
    said = capsys.readouterr()
    assert "broken: not a run folder" in said.err
    titles = [line.split(":")[0] for line in said.out.splitlines() if line.strip().startswith("Run ")]
    assert [title.strip() for title in titles] == [f"Run {folder.name}" for folder in folders]
    assert all((folder / "test.json").exists() for folder in folders)
    assert main(["privacy", *several]) == 2
    assert "broken: not a run folder" in capsys.readouterr().err
    assert all((folder / "disclosure.json").exists() for folder in folders)
