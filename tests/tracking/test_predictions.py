"""``predict``: what is written for whom, and what a spreadsheet makes of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

from fedrec.tracking.recommendations import no_formulas
from tests import small_runs

FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "=", "-", "--1"]
HARMLESS = ["a=1", "-1", "+4.5", "10", "", " =1", "'=1", "été", "1-2"]


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["fedrec"])
    monkeypatch.setenv("WANDB_MODE", "disabled")


def test_ids_that_a_spreadsheet_would_run_are_quoted() -> None:
    found = no_formulas(pd.Series([*FORMULAS, *HARMLESS], dtype=object))
    assert found.tolist() == [*(f"'{text}" for text in FORMULAS), *HARMLESS]
    numbers = pd.Series([-1, 0, 5])
    assert no_formulas(numbers) is numbers


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_users_that_cannot_be_served_are_listed_with_the_reason(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items = [f"=i{number}" for number in range(12)]
    rows = [(f"u{user}", items[(user + step) % 12]) for user in range(9) for step in range(5)]
    rows += [("=lone", items[0]), ("@pair", items[0]), ("@pair", items[1])]
    frame = pd.DataFrame(rows, columns=["user", "item"]).drop_duplicates()
    frame.to_csv(tmp_path / "own.csv", index=False)
    fit = ["fit", "--config=data/file.yaml", "--config=method/fedrecgel.yaml", f"--data.path={tmp_path / 'own.csv'}"]
    fit += ["--data.overrides.candidates=2", "--trainer.max_epochs=1", f"--trainer.default_root_dir={tmp_path}"]
    small_runs.call([*fit, "--model.recommender.embedding_dim=4", "--data.client_fraction=1"])
    (folder,) = (tmp_path / "runs").iterdir()
    output = tmp_path / f"top.{suffix}"
    beside = tmp_path / "top.not_served.csv"
    small_runs.call(["predict", f"--resume={folder}", f"--recommend.output={output}"])
    found = pd.read_csv(output) if suffix == "csv" else pd.read_parquet(output)
    assert set(found["user"]) == {f"u{user}" for user in range(9)}
    assert set(found["item"]) <= {f"'{item}" if suffix == "csv" else item for item in items}
    others = pd.read_csv(beside).set_index("user")["reason"]
    assert others.index.tolist() == ["'=lone", "'@pair"]
    assert others["'=lone"].startswith("1 row of the data; the protocol fair")
    assert others["'@pair"].startswith("2 rows of the data; the protocol fair")
    assert "at least 5 distinct items per user" in others["'@pair"]
    assert f"2 users get none, each with the reason: {beside}" in capsys.readouterr().out


def test_a_list_of_an_earlier_prediction_does_not_stay(tmp_path: Path) -> None:
    folder = small_runs.fit(tmp_path, 1, "--data.plan.users=20", "--data.plan.rows=800")
    (tmp_path / "top.not_served.csv").write_text("old")
    small_runs.call(["predict", f"--resume={folder}", f"--recommend.output={tmp_path / 'top.csv'}"])
    frame = pd.read_csv(tmp_path / "top.csv")
    assert frame["user"].nunique() == 20
    assert not (tmp_path / "top.not_served.csv").exists()
