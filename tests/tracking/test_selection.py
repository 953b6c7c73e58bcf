"""Choosing the best round among all items instead of among candidates."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

from fedrec.__main__ import main
from tests import small_runs

FULL = "--checkpoint.select=full"
# So fast that rounds differ.
FAST = ("--model.client.lr=0.3", "--model.server.lr=0.1", "--data.client_fraction=0.5")


def rounds(folder: Path) -> list[dict[str, float]]:
    with (folder / "metrics.csv").open() as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_runs.fit(tmp_path_factory.mktemp("full"), 8, FULL, *FAST)


def test_the_best_round_is_the_best_among_all_items(folder: Path) -> None:
    rows = rounds(folder)
    full = [row["val/full_ndcg_10"] for row in rows]
    assert [row["val/full_ndcg_10_best"] for row in rows] == [max(full[: n + 1]) for n in range(len(rows))]
    assert "val/ndcg_10_best" not in rows[-1]
    best = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["epoch"] == full.index(max(full))


def test_validation_among_all_items_is_what_a_test_is(tmp_path: Path) -> None:
    """Where the test item chooses, the best round's validation and the test are of the same items."""
    folder = small_runs.fit(tmp_path, 3, FULL, *FAST, "--data.protocol=fedrecgel")
    small_runs.call(["test", f"--resume={folder}"])
    tested = json.loads((folder / "test.json").read_text())["metrics"]
    best = max(rounds(folder), key=lambda row: row["val/full_ndcg_10"])
    for name in ("hr_10", "ndcg_10", "full_hr_10", "full_ndcg_10", "full_mrr_5"):
        assert best[f"val/{name}"] == pytest.approx(tested[f"test/{name}"], rel=1e-12)
    for name in ("hr_10", "full_hr_10", "full_ndcg_10"):
        assert best[f"val/popular_{name}"] == pytest.approx(tested[f"test/popular_{name}"], rel=1e-12)
        gap = best[f"val/{name}"] - best[f"val/popular_{name}"]
        assert best[f"val/gap_{name}"] == pytest.approx(gap, abs=1e-12)


def test_the_choice_is_said_and_cannot_be_changed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_runs.call(["test", f"--resume={folder}"])
    assert "chosen on the validation item among all unseen items" in " ".join(capsys.readouterr().out.split())
    assert json.loads((folder / "test.json").read_text())["select"] == "full"
    small_runs.call(["validate", f"--resume={folder}"])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == ["sampled"] * 4 + ["full"] * 4
    assert main(["fit", f"--resume={folder}", "--trainer.max_epochs=9", "--checkpoint.select=sampled"]) == 2
    assert "checkpoint.select is full, here sampled" in capsys.readouterr().err


def test_a_run_that_chooses_among_candidates_is_as_it_was(tmp_path: Path) -> None:
    row = rounds(small_runs.fit(tmp_path, 1))[0]
    assert not [name for name in row if "full" in name]
