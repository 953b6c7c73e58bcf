"""The demonstration, for two rounds of the real data."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from matplotlib.image import imread

from fedrec.__main__ import main
from tests import small_runs


def test_the_demo_ends_with_a_table_and_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not (Path(os.environ.get("FEDREC_DATA", "nowhere")) / "filmtrust").is_dir():
        pytest.skip("FilmTrust is not in the folder that FEDREC_DATA names")
    monkeypatch.setattr(sys, "argv", ["fedrec"])
    monkeypatch.setenv("WANDB_MODE", "disabled")
    small_runs.call(["demo", f"--output={tmp_path}", "--rounds=2"])
    lines = capsys.readouterr().out.splitlines()
    table = lines[max(number for number, line in enumerate(lines) if line.startswith("FilmTrust, protocol")) :]
    rows = [(line.strip().partition("  ")[0], line.split()[-4:]) for line in table if line.count("0.") == 4]
    assert [name.partition(",")[0] for name, _ in rows] == [
        *("authors' settings", "mean-private"),
        *("raised rates", "mean-private"),
        "most popular",
    ]
    # Leave-one-out on FilmTrust with the published split: most popular items are known (test of the audit).
    assert rows[-1][1][0] == "0.9128"
    height, width, _ = imread(tmp_path / "filmtrust.png").shape
    assert width > height > 600
    assert len(list((tmp_path / "runs").iterdir())) == 2
    assert not any("earlier runs" in line for line in lines)


def test_a_demo_after_another_says_that_it_starts_afresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs" / "a").mkdir(parents=True)

    def stop(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("fedrec.commands.demo._train_and_test", stop)
    assert main(["demo", f"--output={tmp_path}"]) == 130
    said = capsys.readouterr().out
    assert said == f"{tmp_path / 'runs'} holds earlier runs (1), which stay; both trainings start afresh\n"
